"""Runs spaces: plans, trains, records."""


class SweepError(Exception):
    """A sweep cannot go on; the message says what was found, what is allowed and how to mend it."""
