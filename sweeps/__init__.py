"""Runs spaces: plans, trains, records."""


class SweepError(Exception):
    """A sweep cannot go on; the message says what was found, what is allowed and how to mend it."""


class LoggedError(SweepError):
    """A sweep cannot go on, and more about it is in the log that the message names."""
