"""Word counts over all documents of a store.

The documents are spread over buckets by a hash of their names. Of each bucket two immutable Parquet files are kept:
its documents with their counts, and what these add up to. A change makes both anew for its bucket alone, so sums are
never added to or taken from, and cannot drift. One small object, the manifest, names the files that count; it is
replaced as a whole.
"""
