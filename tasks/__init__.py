"""One thin Prefect task a step: caching, retries, timeouts, tags. No logic."""
