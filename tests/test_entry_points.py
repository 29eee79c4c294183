"""The installed commands: each is there, says what it takes, and ends as its script does."""

import os
import sys
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]


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
        command = EntryPoint(name, SCRIPTS[name], "console_scripts").load()
        with pytest.raises(SystemExit) as ended:
            sys.exit(command())
        return ended.value

    return run


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_command_says_what_it_takes(call, capsys, name):
    assert call(name, "--help").code == 0
    assert capsys.readouterr().out.startswith(f"usage: {name} ")


@pytest.mark.parametrize(
    ("name", "argument", "code", "leaves"),
    [
        ("ouvae-sweep", "--list-spaces", 0, True),
        ("ouvae-sweep", "--set=steps", 2, True),
        ("ouvae-paper", "tabel6", 2, True),
        ("ouvae-evaluate", "nowhere", 2, True),
        ("ouvae-publish", "nowhere.html", 2, False),
        ("ouvae-moved", "nowhere", 2, False),
        ("ouvae-thresholds", "nowhere", 2, False),
        ("ouvae-figures", "nowhere", 2, False),
        ("ouvae-phase-diagram", "nowhere", 2, False),
        ("ouvae-report", "nowhere", 2, False),
        ("ouvae-appendix", "tabel6", 2, False),
    ],
)
def test_it_ends_with_the_code_of_its_script(call, name, argument, code, leaves):
    ended = call(name, argument)
    assert (ended.code, isinstance(ended, Left)) == (code, leaves)
