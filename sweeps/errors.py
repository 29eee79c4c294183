"""The error that ends a sweep."""


class SweepError(Exception):
    """A sweep cannot go on; the message says what was found, what is allowed and how to mend it."""
