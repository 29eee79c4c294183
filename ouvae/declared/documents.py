"""Texts in documents that follow from declarations, and are written between two marks."""

from pathlib import Path


def write_between(path: str | Path, begin: str, text: str, end: str) -> None:
    """Write a text into a document in place of what stands between its marks, which are lines each."""
    path = Path(path)
    before, _, rest = path.read_text(encoding="utf-8").partition(begin)
    _, _, after = rest.partition(end)
    path.write_text(f"{before}{begin}\n{text}{end}{after}", encoding="utf-8")
