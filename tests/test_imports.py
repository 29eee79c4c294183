"""The packages' borders: what an import brings along, and names that two packages must agree on."""

import json
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Literal, get_args, get_origin, get_type_hints

import pytest

import ouvae.settings
from ouvae.data import NAMES
from ouvae.settings import Settings
from search_spaces import Cell
from search_spaces.space import CellKeys, Space

ROOT = Path(__file__).parents[1]

IMPORT_ALL = """
import importlib, json, pkgutil, sys
package = importlib.import_module(sys.argv[1])
names = [module.name for module in pkgutil.walk_packages(package.__path__, package.__name__ + ".")]
for name in names:
    importlib.import_module(name)
print(json.dumps([names, sorted({name.partition(".")[0] for name in sys.modules})]))
"""

FORBIDDEN = {
    "ouvae": {"ray", "optuna", "mlflow", "pyarrow", "matplotlib", "sweeps", "analysis", "search_spaces"},
    "search_spaces": {"torch", "ray", "optuna", "mlflow", "ouvae", "sweeps", "analysis"},
    "analysis": {"torch", "ray", "optuna", "mlflow", "ouvae", "sweeps", "search_spaces"},
}

EXPECTED = {
    "ouvae": {"ouvae.training.pack", "ouvae.linear_gaussian", "ouvae.data.mnist"},
    "search_spaces": {"search_spaces.space", "search_spaces.reading"},
    "analysis": {"analysis.tables", "analysis.figures", "analysis.thresholds"},
}


@pytest.mark.parametrize("package", FORBIDDEN)
def test_importing_all_of_a_package_loads_nothing_foreign(package):
    command = [sys.executable, "-c", IMPORT_ALL, package]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    modules, loaded = json.loads(done.stdout)
    assert set(modules) >= EXPECTED[package]
    assert FORBIDDEN[package].isdisjoint(loaded)


def test_import_contracts_are_kept():
    lint = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([lint, "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def choices(annotation):
    """Return the values of every Literal in an annotation, however deep."""
    if get_origin(annotation) is Literal:
        return set(get_args(annotation))
    return set().union(*(choices(part) for part in get_args(annotation)))


@pytest.fixture
def key_types():
    return {name: field.annotation for name, field in Cell.model_fields.items()}


def test_a_space_knows_exactly_the_data_sets_that_can_be_loaded(key_types):
    assert choices(key_types["dataset"]) == set(NAMES)


@pytest.mark.parametrize("name", [field.name for field in fields(Settings)])
def test_a_setting_is_a_key_of_a_cell_with_the_same_choices(key_types, name):
    types = get_type_hints(Settings)
    assert name in key_types
    assert choices(key_types[name]) == choices(types[name])


def test_every_literal_of_the_settings_is_compared():
    named = {name for name, value in vars(ouvae.settings).items() if get_origin(value) is Literal}
    types = get_type_hints(Settings)
    compared = [choices(types[field.name]) for field in fields(Settings)]
    for name in named:
        assert set(get_args(getattr(ouvae.settings, name))) in compared, name


def test_a_cell_has_no_key_that_neither_settings_nor_data_nor_the_start_explain(key_types):
    explained = {field.name for field in fields(Settings)} | {"dataset", "data_variance", "start"}
    assert set(key_types) == explained
    assert set(Space.model_fields) >= set(CellKeys.model_fields)
