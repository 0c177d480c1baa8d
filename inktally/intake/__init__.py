"""Every way in: local files, web uploads, links, bucket events, the sweep, and failed pictures sent again."""
