"""docs/own_tables.md: commands and programs run as they are written, and the loop finds the exact value."""

import re
import shlex
from math import exp
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest
import torch

from analysis.thresholds import _parser, main

PAGE = (Path(__file__).parents[2] / "docs" / "own_tables.md").read_text(encoding="utf-8")
COMMANDS = [line.partition("#")[0] for line in re.search(r"```bash\n(.*?)```", PAGE, re.S)[1].splitlines()]
TABLE, LOOP = re.findall(r"```python\n(.*?)```", PAGE, re.S)


@pytest.fixture(autouse=True)
def _in_a_folder_with_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    betas = np.geomspace(0.5, 16, 6).tolist()
    rows = [("a", seed, beta, max(0.0, 4 - beta * (1 + 0.1 * seed))) for seed in range(3) for beta in betas]
    columns = dict(zip(("model", "seed", "beta", "kl"), map(list, zip(*rows, strict=True)), strict=True))
    pyarrow.csv.write_csv(pa.table(columns), "runs.csv")


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_runs(command, capsys):
    name, *arguments = shlex.split(command.partition(">")[0])
    assert name == "ouvae-thresholds"
    assert main(arguments) == 0
    assert capsys.readouterr().out.startswith("model,beta,seed\n" if "--next" in arguments else "kl: active")


def test_the_program_runs(capsys):
    program: dict = {}
    exec(TABLE, program)  # noqa: S102
    assert "critical beta" in capsys.readouterr().out
    assert Path("runs.png").exists()
    assert program["result"].next(12).num_rows == 12


@pytest.fixture
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("one_thread")
def test_the_loop_finds_the_exact_critical_value(capsys):
    program: dict = {}
    exec(LOOP, program)  # noqa: S102
    critical, low, high = map(float, capsys.readouterr().out.split())
    assert critical == pytest.approx(4 * exp(-0.1), rel=0.04)
    assert low < critical < high
    assert len(LOOP.split("def trained_kl")[1].splitlines()) <= 25


def test_every_option_of_a_table_is_on_the_page():
    group = next(group for group in _parser()._action_groups if group.title.startswith("a table"))
    options = [action.option_strings[0] for action in group._group_actions]
    assert [option for option in options if option not in PAGE] == []
