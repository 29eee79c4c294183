"""What a user reads while a command runs."""
