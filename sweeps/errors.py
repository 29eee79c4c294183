"""The error that ends a sweep, and any error as a line."""

import re
import traceback
from collections.abc import Callable
from pathlib import Path

from pydantic import ValidationError

from analysis import TableError
from sweeps.machine.installed import is_installed


class SweepError(Exception):
    """A sweep cannot go on; the message says what was found, what is allowed and how to mend it."""


LONGEST_GIST = 400
"""Characters of an error that fit a line of a terminal or a cell of a table."""

_ESCAPE = re.compile(r"\x1b\[[0-9;]*m")

_FRAME = re.compile(r'^(Traceback \(most recent call last\):|\s*File ".*", line \d+)')


def gist(error: BaseException) -> str:
    """Return the cause of an error in one line of at most `LONGEST_GIST` characters.

    Of a text that quotes a traceback it is what stands before it and the exception at its end. An exception
    that says nothing is the line that raised it. What an exception was raised from is added where its text
    lacks it.
    """
    text = gist_of(_text(error))
    root: BaseException = error
    while root.__cause__ is not None:
        root = root.__cause__
    if root is not error and (cause := gist_of(_text(root))) not in text:
        text = f"{text} (from {type(root).__name__}: {cause})"
    return _shortened(text)


def gist_of(text: str) -> str:
    """Return the cause in the text of an error, or in the end of a log, in one line; see `gist`."""
    lines = _ESCAPE.sub("", text).splitlines()
    frames = [place for place, line in enumerate(lines) if _FRAME.match(line)]
    if frames:
        outside = [*lines[: frames[0]], *lines[frames[-1] + 1 :]]
        lines = [line for line in outside if line and not line[0].isspace()]
    return _shortened(" ".join(" ".join(lines).split()))


def _text(error: BaseException) -> str:
    if isinstance(error, ValidationError):
        return "; ".join(f"{'.'.join(map(str, part['loc']))}: {part['msg']}" for part in error.errors())
    if isinstance(error, BaseExceptionGroup):
        parts = [f"{type(part).__name__}: {_text(part)}" for part in error.exceptions]
        return f"{error.message}: {'; '.join(dict.fromkeys(parts))}"
    text = "\n".join([str(error), *getattr(error, "__notes__", ())]).strip()
    if text:
        return text
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return type(error).__name__
    return f"{frames[-1].line} ({Path(frames[-1].filename).name}, line {frames[-1].lineno})"


def _shortened(line: str) -> str:
    """Cut a line that is too long in its middle: causes stand at the start or at the end."""
    if len(line) <= LONGEST_GIST:
        return line
    return f"{line[: LONGEST_GIST // 2]} … {line[3 - LONGEST_GIST // 2 :]}"


def located(error: BaseException) -> str:
    """Return type, cause and place of an error in code that is not installed, which its user can mend."""
    frames = traceback.extract_tb(error.__traceback__)
    users = [frame for frame in frames if not is_installed(Path(frame.filename))] or frames
    return f"{type(error).__name__}: {gist(error)} ({Path(users[-1].filename).name}, line {users[-1].lineno})"


def explained(error: Exception, note: Callable[[str], None]) -> str:
    """Return why something went wrong in a line; `note` takes the traceback where nobody foresaw it."""
    if isinstance(error, SweepError | TableError | OSError):
        return str(error)
    note("".join(traceback.format_exception(error)))
    return f"{type(error).__name__}: {gist(error)} (the traceback is in sweep.log)"
