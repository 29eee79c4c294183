"""What the project claims of speed and of statistics, each with the command that measures it."""
