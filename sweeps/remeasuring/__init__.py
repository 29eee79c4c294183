"""A run's members measured anew from their kept weights, for when what is measured has changed."""
