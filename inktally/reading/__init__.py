"""How a picture is read: page by page, by one engine or by several, and how well that went."""
