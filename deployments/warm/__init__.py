"""The worker that starts runs from a process which has everything imported."""
