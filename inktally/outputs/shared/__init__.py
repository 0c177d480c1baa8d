"""What outputs are made with: the value that declares one, the layout of pages, JSON, tables, XML and PDF."""
