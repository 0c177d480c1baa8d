"""From a file to pages: formats, limits and pixels."""

DECODERS = ("inktally.imaging.decoding.raster", "inktally.imaging.decoding.pdf", "pillow_heif")
"""What `document.open_document` imports late, for those who fork once for each picture and import before that."""
