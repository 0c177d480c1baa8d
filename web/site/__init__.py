"""The page where people drop pictures and see their words; the REST API lies below it, at /api."""
