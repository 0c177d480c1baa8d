"""What the terminal shows: arguments, progress and tables of the commands."""
