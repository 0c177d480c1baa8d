"""Inktally's HTTP doors: the receiver of bucket events, the page, and the REST API."""
