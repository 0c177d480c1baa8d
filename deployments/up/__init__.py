"""`make up`: everything on one machine, under one supervisor, in the foreground. See docs/running.md."""
