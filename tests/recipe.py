"""The system, the data set and the space of a user's own that docs/systems.md shows, as files."""

import re
from pathlib import Path

PAGE = (Path(__file__).parents[1] / "docs/systems.md").read_text(encoding="utf-8")

_FILES = {"class FlatVAE": "flat.py", "class Stripes": "stripes.py", "flat:FlatVAE": "flat.yaml"}
"""A word that one block of the page alone has, and the file that it shows."""


def write_recipe(folder: Path) -> Path:
    """Write the files into a folder, and return that of the space."""
    blocks = re.findall(r"```(?:python|yaml)\n(.*?)```", PAGE, re.DOTALL)
    for word, name in _FILES.items():
        (text,) = [block for block in blocks if word in block]
        (folder / name).write_text(text)
    return folder / "flat.yaml"


def write_beside(folder: Path) -> None:
    """Write what the recipe's system imports and reads then: two files, one of which git ignores."""
    for name, text in {"scale.py": "SCALE = 1", "scale.json": "1", ".gitignore": "*.json"}.items():
        (folder / name).write_text(text)
    with (folder / "flat.py").open("a") as file:
        file.write("\nfrom pathlib import Path\n\nfrom scale import SCALE\n")
        file.write("assert Path(__file__).with_name('scale.json').read_text() == '1'\nassert SCALE == 1\n")
