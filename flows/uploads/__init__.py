"""The pictures of one run: what is known of each, and the order of its steps."""
