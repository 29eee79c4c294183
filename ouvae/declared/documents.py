"""Generated texts in documents, between two marks."""

from pathlib import Path


def write_between(path: str | Path, begin: str, text: str, end: str) -> None:
    """Replace the text between two marks of a document; each mark is a line."""
    path = Path(path)
    before, _, rest = path.read_text(encoding="utf-8").partition(begin)
    _, _, after = rest.partition(end)
    path.write_text(f"{before}{begin}\n{text}{end}{after}", encoding="utf-8")
