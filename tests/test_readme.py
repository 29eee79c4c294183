"""What the README shows works: its system keeps the laws, its keys are those there are."""

import importlib.util
import re
import sys
from pathlib import Path
from types import MappingProxyType

import pytest
import torch

import ouvae.systems
import search_spaces
from ouvae.data import load
from ouvae.settings import Settings
from ouvae.training.objectives import loss
from ouvae.training.pack import Pack, initial_model
from search_spaces.space import Space
from sweeps.plan import PlannedCell

README = (Path(__file__).parents[1] / "README.md").read_text()


@pytest.fixture
def flat(tmp_path, monkeypatch) -> str:
    """Write the README's system to a file and register it; return its name."""
    (code,) = [block for block in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "FlatVAE" in block]
    path = tmp_path / "flat.py"
    path.write_text(code)
    spec = importlib.util.spec_from_file_location("flat", path)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "flat", module)
    spec.loader.exec_module(module)
    systems = MappingProxyType({**ouvae.systems.SYSTEMS, "flat": module.FlatVAE})
    monkeypatch.setattr(ouvae.systems, "SYSTEMS", systems)
    return "flat"


def test_the_readmes_system_trains_in_packs(flat, make_settings, small_data):
    case = make_settings(system=flat, smoothed_networks=())
    members = [(1.0, 0), (1.0, 1)]
    packed, *_ = Pack(case, members, small_data).losses_and_gradients()
    for row, member in enumerate(members):
        alone, *_ = Pack(case, [member], small_data).losses_and_gradients()
        torch.testing.assert_close(packed[row], alone[0], rtol=1e-9, atol=1e-9)
    model = initial_model(case, small_data.image_shape, 0)
    assert sum(p.numel() for p in model.parameters()) > 0
    assert torch.isfinite(loss(case, _terms(model, case, small_data)))


def _terms(model, case, data):
    x = torch.from_numpy(data.train[:5]).double().round()
    base = tuple(torch.randn(5, size, dtype=torch.float64) for size in case.latents)
    return model(x, ouvae.systems.Draws(base, (), (), ()))


def test_the_readme_names_every_key_of_a_space():
    keys = set(Space.model_fields) - {"name", "start"}
    assert {key for key in keys if f"`{key}`" not in README} == set()


@pytest.fixture
def make_settings():
    """Return a factory of float64 settings of the default space's first cell, made small."""
    cell = search_spaces.load("digits", ["latents=[[3, 2]]", "precision=float64", "hidden=[8]"]).cells()[0]
    values = vars(PlannedCell(cell, "", (8, 8), "cpu").settings())
    return lambda **changes: Settings(**{**values, **changes})


@pytest.fixture(scope="module")
def small_data():
    return load("digits")
