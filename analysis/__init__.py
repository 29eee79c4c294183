"""What came out of a sweep: the tables' schema, thresholds with their statistics, and figures.

Everything here is computed from the tables of a run alone; nothing is trained and no sweep is
needed to read one.
"""

__all__ = ["TableError"]


class TableError(Exception):
    """A table cannot be read, does not follow its schema, or cannot be written.

    The message names the file, lists every problem found and says how to mend them.
    """
