"""Children that decode and read pictures of strangers: what starts them, what they run, and what ends them."""
