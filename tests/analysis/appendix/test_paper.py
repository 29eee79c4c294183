"""The command line."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from analysis.appendix.exhibits import EXHIBITS
from analysis.paper import main

ROOT = Path(__file__).parents[3]


def test_every_run_has_a_figure_as_png_and_svg(every_run, capsys):
    for exhibit in EXHIBITS:
        name = exhibit.name
        folder = every_run / f"{name}-quick"
        assert main([name, str(folder)]) == 0
        out = capsys.readouterr().out
        for kind, magic in (("png", b"\x89PNG"), ("svg", b"<svg")):
            path = folder / "figures" / f"{name}.{kind}"
            assert f"wrote {path}" in out
            assert path.read_bytes()[:4] == magic
        assert exhibit.heading in out


def test_arguments_that_do_not_go_together_are_refused(table6_run, capsys):
    assert main(["all", str(table6_run)]) == 2
    assert "all takes no RUN" in capsys.readouterr().err
    assert main(["table6", str(table6_run), "--out", "page.html"]) == 2
    assert "only all writes a page" in capsys.readouterr().err


def test_the_page_is_written_alone_and_the_command_that_logs_it_is_said(tmp_path, capsys):
    runs = tmp_path / "our runs"
    assert main(["all", "--runs", str(runs)]) == 0
    assert capsys.readouterr().out.endswith(
        f"wrote {runs}/paper.html; to log it to MLflow:\n  python sweeps/publish.py '{runs}'\n"
    )
    page = tmp_path / "page.html"
    assert main(["all", "--runs", str(runs), "--out", str(page)]) == 0
    assert capsys.readouterr().out.endswith(f"\n  python sweeps/publish.py {page}\n")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["our runs", "page.html", "paper.html"]


@pytest.mark.process
def test_the_script_runs_by_its_path(table6_run, tmp_path):
    done = subprocess.run(
        [sys.executable, ROOT / "analysis" / "paper.py", "table6", "runs/table6-quick"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT), "MPLBACKEND": "agg"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "wrote runs/table6-quick/figures/table6.svg" in done.stdout


def test_no_module_hides_one_of_python_s_own():
    """A script has its folder in front of the path: a module named like Python's would take its place."""
    names = {path.stem for path in (ROOT / "analysis").glob("*.py")} - {"__init__"}
    assert names.isdisjoint(sys.stdlib_module_names)
