"""The code of an earlier commit, beside this one."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]


@contextmanager
def checked_out(commit: str) -> Iterator[Path]:
    """Check a commit out into a folder that is removed afterwards."""
    git = ["git", "-C", str(ROOT), "worktree"]
    with tempfile.TemporaryDirectory(prefix="ouvae-earlier-") as scratch:
        folder = Path(scratch).resolve() / "checkout"
        subprocess.run([*git, "add", "--detach", str(folder), commit], check=True, capture_output=True)
        try:
            yield folder
        finally:
            subprocess.run([*git, "remove", "--force", str(folder)], check=True)


@contextmanager
def compared(earlier: str | None) -> Iterator[dict[str, Path]]:
    """Give the folders of the codes to compare by their names: an earlier commit, if any, and this one."""
    if earlier is None:
        yield {"this one": ROOT}
        return
    with checked_out(earlier) as folder:
        yield {earlier: folder, "this one": ROOT}


def import_from(checkout: str) -> None:
    """Have the project's packages be imported from a checkout, from now on and in this process.

    Raises:
        ImportError: they are another's all the same.
    """
    sys.path[:] = [checkout, *(path for path in sys.path if Path(path or ".").resolve() != ROOT)]
    import ouvae

    if not Path(ouvae.__file__ or "").is_relative_to(checkout):
        raise ImportError(f"{ouvae.__file__} is not in {checkout}")
