"""Inktally's domain and its adapters: pictures of text in, counted words out. Never imports Prefect."""

__version__ = "0.1.0"
