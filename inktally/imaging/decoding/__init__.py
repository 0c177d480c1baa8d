"""From a file to pages: formats, limits and pixels."""
