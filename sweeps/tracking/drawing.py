"""Figures of a sweep while it goes on, drawn beside it: they take seconds, for which no pack shall wait."""

import subprocess
import sys
from pathlib import Path


class Drawing:
    """Draws the figures of a run in a process of its own, at the lowest priority.

    Args:
        run: folder of the run, whose tables are drawn as they are.
    """

    def __init__(self, run: Path) -> None:
        self._run = run
        self._process: subprocess.Popen[bytes] | None = None

    def begin(self) -> None:
        """Draw, unless the last figures are not drawn yet."""
        if self._process is None:
            command = ["nice", "-n", "19", sys.executable, "-P", "-m", "analysis.figures", str(self._run)]
            nothing = subprocess.DEVNULL
            self._process = subprocess.Popen(  # noqa: S603
                command, stdin=nothing, stdout=nothing, stderr=nothing
            )

    def drawn(self) -> list[Path]:
        """Return the figures, once, when they are drawn; none before, nor where they could not be."""
        if self._process is None or self._process.poll() is None:
            return []
        ended, self._process = self._process, None
        return sorted((self._run / "figures").glob("[!.]*")) if ended.returncode == 0 else []

    def stop(self) -> None:
        """Draw no more, and remove what is half written."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for path in (self._run / "figures").glob(f".*.{self._process.pid}.*.tmp"):
                path.unlink(missing_ok=True)
            self._process = None
