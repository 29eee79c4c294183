"""The packages' borders: what an import brings along, and names that two packages must agree on."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ouvae.declared import DATASETS, LIKELIHOODS, SYSTEMS, Cell, keys_of
from ouvae.declared.cell import CHOICES

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
    "ouvae": {"ray", "optuna", "mlflow", "pyarrow", "sweeps", "analysis", "search_spaces"},
    "ouvae.declared": {"torch", "numpy", "ray", "optuna", "mlflow", "pyarrow", "sweeps", "analysis"},
    "search_spaces": {"torch", "numpy", "ray", "optuna", "mlflow", "sweeps", "analysis"},
    "analysis": {"torch", "ray", "optuna", "mlflow", "matplotlib", "sweeps", "search_spaces"},
}

EXPECTED = {
    "ouvae": {"ouvae.training.pack", "ouvae.linear_gaussian", "ouvae.data.mnist"},
    "ouvae.declared": {"ouvae.declared.cell", "ouvae.declared.metrics"},
    "search_spaces": {"search_spaces.space", "search_spaces.reading"},
    "analysis": {"analysis.tables.files", "analysis.figures", "analysis.thresholds"},
}


@pytest.mark.process
@pytest.mark.parametrize("package", FORBIDDEN)
def test_importing_all_of_a_package_loads_nothing_foreign(package):
    command = [sys.executable, "-c", IMPORT_ALL, package]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    modules, loaded = json.loads(done.stdout)
    assert set(modules) >= EXPECTED[package]
    assert FORBIDDEN[package].isdisjoint(loaded)


@pytest.mark.parametrize("registry", [SYSTEMS, DATASETS, LIKELIHOODS], ids=lambda registry: registry.kind)
def test_what_a_choice_names_is_there(registry):
    for name in registry:
        assert callable(registry.load(name)), name


def test_every_key_that_a_choice_uses_is_declared_as_its_own():
    keys = keys_of(Cell)
    for kind, registry in CHOICES.items():
        used = set().union(*(traits.uses for traits in registry.values()))
        assert {name for name, key in keys.items() if key.of == kind} == used, kind
    assert all(key.has_neutral for key in keys.values() if key.of or key.requires)


@pytest.mark.process
def test_planning_does_not_load_pytorchs_compiler():
    """It takes seconds; the multiply-adds of a model without convolutions do without."""
    code = (
        "import sys, search_spaces\n"
        "from ouvae.training.counts import multiply_adds\n"
        "cells = search_spaces.load('digits').cells()\n"
        "assert all(multiply_adds(cell, cell.image_shape) > 0 for cell in cells)\n"
        "assert 'torch._dynamo' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


@pytest.mark.process
def test_what_starts_ray_does_not_wait_for_seconds_of_imports():
    """The command loads them while Ray starts, the Ray process never does, a worker when it has a pack."""
    code = (
        "import sys, sweeps.driver, sweeps.cluster.serving, sweeps.cluster.trainable\n"
        "found = {'torch', 'mlflow', 'vl_convert'}.intersection(sys.modules)\n"
        "assert not found, found\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


@pytest.mark.process
def test_the_errors_of_analysis_bring_no_tables_along():
    """Commands import them before anything else; `load` is looked up when it is asked for."""
    code = (
        "import sys, analysis\n"
        "assert {'pandas', 'pyarrow', 'numpy'}.isdisjoint(sys.modules)\n"
        "from analysis import compare, load, Run\n"
        "assert {'polars', 'vl_convert'}.isdisjoint(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
