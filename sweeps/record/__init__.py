"""The run directory: its files, who holds it, and what is known of its members."""
