"""The installed commands: each is there, says what it takes, and ends as its script does."""

import json
import os
import runpy
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from analysis.text.printed import FORMATS
from sweeps import phase_transition
from sweeps.worker.snapshot import PACKAGES

ROOT = Path(__file__).parents[1]
SCRIPTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]


SCRIPT = ROOT / "sweeps" / "phase_transition.py"


class Left(SystemExit):
    """The process would be gone, without the interpreter's own end."""


@pytest.fixture
def call(monkeypatch):
    """Call a command as its installed script does; return how it ended."""

    def leave(code: int) -> None:
        raise Left(code)

    def run(name: str, *arguments: str) -> SystemExit:
        monkeypatch.setattr(sys, "argv", [f"/somewhere/bin/{name}", *arguments])
        monkeypatch.setattr(os, "_exit", leave)
        monkeypatch.setattr(phase_transition, "_is_within_a_program", lambda: False)
        command = EntryPoint(name, SCRIPTS[name], "console_scripts").load()
        with pytest.raises(SystemExit) as ended:
            sys.exit(command())
        return ended.value

    return run


@pytest.mark.process
def test_a_script_of_another_checkout_is_refused(tmp_path):
    """A worktree's script would run the code that is installed, without a word; the same code may be."""
    for name in PACKAGES:
        shutil.copytree(ROOT / name, tmp_path / name)
    script = tmp_path / "sweeps" / SCRIPT.name
    command, environment = [sys.executable, script, "--list-spaces"], {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run(command, env=environment, check=True)
    (tmp_path / "ouvae" / "data" / "digits.py").write_text("SPLIT_SEED = 2")
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"error: {script} would run the code in {ROOT}, which Python finds first; set PYTHONPATH={tmp_path}, "
        f"or run {SCRIPT}\n"
    )


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_command_says_what_it_takes(call, capsys, name):
    assert call(name, "--help").code == 0
    assert capsys.readouterr().out.startswith(f"usage: {name} ")


@pytest.mark.parametrize(
    ("name", "argument", "code", "leaves"),
    [
        ("ouvae-sweep", "--list-spaces", 0, True),
        ("ouvae-sweep", "--version", 0, False),
        ("ouvae-sweep", "--set=steps", 2, True),
        ("ouvae-paper", "tabel6", 2, True),
        ("ouvae-evaluate", "nowhere", 2, True),
        ("ouvae-merge", "nowhere", 2, False),
        ("ouvae-clean", "nowhere", 2, False),
        ("ouvae-publish", "nowhere.html", 2, False),
        ("ouvae-moved", "nowhere", 2, False),
        ("ouvae-thresholds", "nowhere", 2, False),
        ("ouvae-figures", "nowhere", 2, False),
        ("ouvae-compare", "nowhere", 2, False),
        ("ouvae-phase-diagram", "nowhere", 2, False),
        ("ouvae-report", "nowhere", 2, False),
        ("ouvae-appendix", "tabel6", 2, False),
    ],
)
def test_it_ends_with_the_code_of_its_script(call, name, argument, code, leaves):
    ended = call(name, argument)
    assert (ended.code, isinstance(ended, Left)) == (code, leaves)


ANSWER_A_SHELL = """
import json, os, pathlib, sys
from importlib.metadata import EntryPoint
os._exit = sys.exit
answer = pathlib.Path(os.environ["_ARGCOMPLETE_STDOUT_FILENAME"])
answers = {}
for line, target in json.load(sys.stdin).items():
    os.environ |= {"_ARGCOMPLETE": "1", "COMP_LINE": line, "COMP_POINT": str(len(line))}
    answer.write_text("")
    name = line.partition(" ")[0]
    sys.argv = [name, "--help"]  # which a command that answers does not look at
    try:
        EntryPoint(name, target, "console_scripts").load()()
    except SystemExit:
        answers[line] = answer.read_text().replace(" ", "").split("\\v")
print(json.dumps([answers, list(sys.modules)]))
"""


@pytest.mark.process
def test_a_shell_completes_every_command_at_once(tmp_path):
    """Arrow, torch, Ray and MLflow take seconds, at every press of Tab."""
    expected = {f"{name} --hel": ["--help"] for name in SCRIPTS} | {
        "ouvae-sweep --space omni": ["omniglot_mlp"],
        "ouvae-sweep --space paper/table1": ["paper/table10"],
        "ouvae-paper figure": ["figure4", "figure5", "figure6"],
        "ouvae-appendix figure": ["figure4", "figure5", "figure6"],
        "ouvae-thresholds runs --format ": ["text", *FORMATS, "json"],
    }
    asked = json.dumps({line: SCRIPTS[line.partition(" ")[0]] for line in expected})
    environment = {**os.environ, "_ARGCOMPLETE_STDOUT_FILENAME": str(tmp_path / "answer")}
    command = [sys.executable, "-c", ANSWER_A_SHELL]
    done = subprocess.run(command, cwd=ROOT, env=environment, input=asked, capture_output=True, text=True)
    answers, modules = json.loads(done.stdout.splitlines()[-1])
    assert answers == expected
    assert {"pyarrow", "torch", "ray", "mlflow"} & {*modules} == set()


@pytest.mark.parametrize("name", ["phase_transition", "evaluate", "paper"])
def test_a_program_that_runs_a_script_goes_on(monkeypatch, capsys, name):
    """As a notebook does with `%run`."""
    monkeypatch.setattr(os, "_exit", lambda code: pytest.fail(f"the program ends with code {code}"))
    for arguments, code in ((["--help"], 0), (["nowhere", "--budget=x"], 2)):
        monkeypatch.setattr(sys, "argv", [name, *arguments])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(ROOT / "sweeps" / f"{name}.py"), run_name="__main__")
        assert ended.value.code == code
    assert capsys.readouterr().out.startswith("usage: ")


def test_a_program_that_runs_a_script_well_gets_it_back(monkeypatch, capsys):
    monkeypatch.setattr(os, "_exit", lambda code: pytest.fail(f"the program ends with code {code}"))
    monkeypatch.setattr(sys, "argv", ["phase_transition.py", "--list-spaces"])
    runpy.run_path(str(SCRIPT), run_name="__main__")
    assert "digits" in capsys.readouterr().out


@pytest.mark.process
@pytest.mark.parametrize(
    ("text", "goes_on"),
    [
        ("from sweeps.phase_transition import command; command()", False),
        (f"import runpy; runpy.run_path({str(SCRIPT)!r}, run_name='__main__')", True),
    ],
)
def test_a_process_of_its_own_ends_without_the_interpreters_end(text, goes_on):
    """That takes seconds after a sweep."""
    text = f"import atexit; atexit.register(print, 'the end'); {text}"
    command = [sys.executable, "-c", text, "--list-spaces"]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True).stdout
    assert "digits" in said
    assert ("the end" in said) == goes_on
