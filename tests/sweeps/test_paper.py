"""The paper's tables and figures: every space can be run, a small one is, and what is refused."""

import sys
from itertools import product

import pyarrow.parquet as pq
import pytest

import search_spaces
from ouvae.data import load
from ouvae.declared import labels
from ouvae.training.counts import count_parameters
from sweeps import paper, phase_transition
from tests.sweeps.conftest import SERIAL, sets

NAMES = search_spaces.names("paper")
BUDGETS = ("quick", "paper")
OF_PUBLISHED_SIZE = [("table6", "size"), ("choices", "size")]


@pytest.mark.parametrize(("name", "budget"), [*product(NAMES, BUDGETS), *OF_PUBLISHED_SIZE])
def test_every_space_has_its_budgets(name, budget):
    space = search_spaces.load(f"paper/{name}", budget=budget)
    assert space.name == f"{name}-{budget}"
    names = labels(space.cells())
    assert len(set(names)) == len(names)
    fewer = {"table6-size": 2, "table6-paper": 1}
    assert len(space.seeds) >= fewer.get(space.name, 3)


def test_there_is_one_for_each_table_figure_and_claim():
    tables, figures = range(5, 11), range(4, 7)
    exhibits = [
        *(f"table{n}" for n in tables),
        *(f"figure{n}" for n in figures),
        "datasets",
        "controls",
        "choices",
    ]
    assert sorted(NAMES) == sorted(exhibits)


def test_a_name_that_is_none_is_refused_with_the_nearest(capsys):
    assert paper.main(["tabel6"]) == 2
    assert "no table or figure tabel6, did you mean table6?" in capsys.readouterr().err
    assert paper.main(["table6", "--space", "digits", "--dry-run"]) == 2
    assert "--space with table6, which is one; leave it out" in capsys.readouterr().err
    assert paper.main([]) == 2
    assert "name a table or figure first" in capsys.readouterr().err


def test_a_dry_run_says_what_would_be_trained(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    small = sets(["pack_size=1", "eval_images=20"])  # a pack of the first cell is timed
    assert paper.main(["table6", "--budget", "quick", "--dry-run", *small]) == 0
    said = capsys.readouterr().out
    assert "iwae-5" in said
    assert "75 members expected" in said
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_says_which_images_each_cell_uses(capsys, monkeypatch, tmp_path):
    """Of data sets at hand; of others, that they are not, and nothing is downloaded."""
    monkeypatch.setenv("OUVAE_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    variants = "[{dataset: digits}, {dataset: digits, eval_images: null}, {dataset: omniglot}]"
    test = sets([f"variants={variants}", "bound_samples=5", "bound_images=100", "pack_size=1"])
    assert paper.main(["figure5", "--dry-run", *test]) == 0
    said = capsys.readouterr().out
    digest = load("digits").digest[:8]
    assert f"data: digits {digest}, 1,297 training, 200 of 250 validation, 100 of 250 test images" in said
    assert f"data: digits {digest}, 1,297 training, 250 validation, 100 of 250 test images" in said
    assert "data: omniglot, which the sweep will fetch" in said
    assert paper.main(["figure5", "--dry-run", "--set", "dataset=digits", "--set", "eval_images=251"]) == 2
    assert "eval_images: 251 with 250 validation images in digits" in capsys.readouterr().err
    assert list(tmp_path.rglob("chardata*")) == []


LARGE_DATA = """
import numpy as np

from ouvae.data import Dataset
from ouvae.data.files import Source
from ouvae.declared import DatasetTraits


class Large:
    \"\"\"Black images, of 125 million bytes.\"\"\"

    traits = DatasetTraits(image_shape=(28, 28), binarization="dynamic")

    @staticmethod
    def load(source: Source) -> Dataset:
        train, other = np.zeros((40_000, 784), np.float32), np.zeros((20, 784), np.float32)
        return Dataset("large", train, other, other, (28, 28), "dynamic")
"""


@pytest.mark.process
def test_costs_are_measured_once(start_sweep, small_space, runs, monkeypatch):
    """Of data larger than what Ray takes with a function: a table, which the same command leaves as it is."""
    (runs / "large.py").write_text(LARGE_DATA)
    keys = [
        "dataset=large:Large",
        "search=none",
        "latents=[[4, 4]]",
        "rho=[1.0]",
        "costs={rounds: 2, steps: 3}",
        "variants=[{smoothed_networks: []}, {objective: iwae, importance_samples: 5}]",
    ]
    sweep = start_sweep("costs", *sets(keys))
    assert sweep.wait() == 0, sweep.output
    assert str(sweep.out / "costs.parquet") in sweep.output
    assert "members.parquet" not in sweep.output, "there is none, and none is announced"
    table = pq.read_table(sweep.out / "costs.parquet").to_pylist()
    assert [row["objective"] for row in table] == ["elbo", "iwae"]
    assert all(len(row["seconds_per_epoch"]) == 2 for row in table)
    assert table[1]["memory_bytes"] > table[0]["memory_bytes"]
    written = (sweep.out / "costs.parquet").stat().st_mtime_ns
    monkeypatch.chdir(runs)
    again = ["--space", str(small_space), "--out", str(sweep.out), *SERIAL, *sets(keys)]
    assert phase_transition.main([*again, "--tracking-uri", f"sqlite:///{sweep.store}"]) == 0
    assert (sweep.out / "costs.parquet").stat().st_mtime_ns == written


def test_help_names_the_tables():
    with pytest.raises(SystemExit) as ended:
        paper.main(["--help"])
    assert ended.value.code == 0
    assert sys.modules["sweeps.paper"] is paper


PUBLISHED_MILLIONS = {("vae", 4): 12.4, ("vae", 6): 16.8, ("lvae", 15): 59.5, ("biva", 15): 103}
"""Table 10."""


@pytest.mark.parametrize("budget", BUDGETS)
def test_the_models_of_table_10_have_the_published_number_of_parameters(budget):
    cells = search_spaces.load("paper/table10", budget=budget).cells()
    found = {(cell.system, cell.depth) for cell in cells}
    assert found == set(PUBLISHED_MILLIONS)
    for cell in cells:
        millions = count_parameters(cell, cell.image_shape) / 1e6
        assert millions == pytest.approx(PUBLISHED_MILLIONS[cell.system, cell.depth], rel=0.10)
