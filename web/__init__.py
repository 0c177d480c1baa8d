"""Inktally's HTTP doors: the receiver of bucket events."""
