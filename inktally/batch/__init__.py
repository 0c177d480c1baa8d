"""Many pictures at once: where they lie, how their words are handed to one Spark job, and what is told of them."""
