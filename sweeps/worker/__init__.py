"""What happens to a pack where it trains: its work, its files, its failures, and the code that it runs."""
