"""Standard streams that take whatever a command prints, wherever it was started."""

import io
import os
import sys


def open_streams() -> None:
    """Open the standard streams that are closed; let output replace characters that it cannot encode.

    The next file to be opened would take the descriptor of a closed stream, and libraries print into those.
    """
    descriptor = os.open(os.devnull, os.O_RDWR)
    while descriptor <= 2:
        os.set_inheritable(descriptor, True)
        descriptor = os.open(os.devnull, os.O_RDWR)
    os.close(descriptor)
    for name, mode in {"stdin": "r", "stdout": "w", "stderr": "w"}.items():
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
