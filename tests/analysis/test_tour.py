"""The notebook of the documentation runs from its first cell to its last, and names no machine."""

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[2]
TOUR = ROOT / "docs" / "tour.ipynb"


def kinds(notebook: nbformat.NotebookNode) -> list[list[set[str]]]:
    """Return the types of what each cell of code shows."""
    return [
        [set(output.get("data", {})) for output in cell.outputs]
        for cell in notebook.cells
        if cell.cell_type == "code"
    ]


@pytest.mark.process
def test_every_cell_runs_and_shows_what_it_is_saved_with(make_members, write_run, tmp_path, monkeypatch):
    onsets = {(10, 10, 10): [0.84, 0.86, 0.82], (10, 10, 10, 10, 10): [0.83, 0.85, 0.79]}
    for name, steps in (("digits", 2400), ("digits_1200", 1200)):
        rows = [
            row | {"member_id": f"{row['member_id']} {steps}", "cell_id": f"{row['cell_id']} {steps}"}
            for row in make_members(onsets, steps=steps).to_pylist()
        ]
        write_run(name, rows)
    saved = nbformat.read(TOUR, as_version=4)
    again = nbformat.from_dict(saved)
    docs = tmp_path / "docs"
    docs.mkdir()
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "of jupyter"))
    NotebookClient(again, timeout=300, resources={"metadata": {"path": str(docs)}}).execute()
    assert kinds(again) == kinds(saved)
    assert any("image/png" in shown for shown, *_ in filter(None, kinds(saved)))


def test_nothing_of_a_machine_is_saved_with_it():
    text = TOUR.read_text(encoding="utf-8")
    assert not re.search(r'["\s(](/(home|root|tmp|work|usr|Users|mnt)/)', text)
    notebook = nbformat.read(TOUR, as_version=4)
    nbformat.validate(notebook)
    assert notebook.metadata["kernelspec"]["name"] == "python3"
    assert len(text) < 400_000
