"""The work of a batch: its pictures in windows, and its shards on several workers."""
