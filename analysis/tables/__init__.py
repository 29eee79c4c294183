"""The tables of a run: their columns, and how files are read, checked and written."""
