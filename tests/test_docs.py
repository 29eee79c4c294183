"""The documentation is built without a warning, loads nothing from elsewhere, and says what tables are."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from analysis.tables.document import BEGIN, END, tables
from analysis.tables.schema import SCHEMAS

ROOT = Path(__file__).parents[1]


@pytest.mark.process
def test_the_site_is_built_strictly_and_loads_nothing_from_elsewhere(tmp_path):
    """A link to a page or heading that is not there, and a page that is in no menu, are warnings."""
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    written = {path.stem for path in (ROOT / "docs").glob("*.md")} - {"index"}
    pages = {name: (tmp_path / name / "index.html").read_text() for name in written}
    pages["index"] = (tmp_path / "index.html").read_text()
    for name, page in pages.items():
        loaded = re.findall(r"<(?:link|script|img|iframe)\b[^>]*?\b(?:src|href)=[\"']?([^\"' >]+)", page)
        assert loaded
        assert [url for url in loaded if re.match(r"(\w+:)?//", url)] == [], name
        assert "mermaid" not in page, "such diagrams are drawn by a script from elsewhere"


def test_the_tables_of_columns_follow_from_the_schemas():
    text = (ROOT / "docs/tables.md").read_text(encoding="utf-8")
    assert text.partition(BEGIN)[2].partition(END)[0] == "\n" + tables(), (
        "write them anew: python -m analysis.tables.document docs/tables.md"
    )
    rows = re.findall(r"^\| `(\w+)` \|", tables(), re.MULTILINE)
    assert rows == [name for schema in SCHEMAS.values() for name in schema.names]
