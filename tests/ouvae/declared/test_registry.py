"""Choices by name, and users' classes."""

import importlib
import sys

import pytest

from ouvae.declared import DATASETS, SYSTEMS, SystemTraits
from ouvae.declared.registry import find_modules_in

CODE = """
from ouvae.declared import SystemTraits

class Own:
    traits = SystemTraits(smooths=("inference",), depth=3)

class Bare:
    pass
"""


@pytest.fixture
def users_file(tmp_path, monkeypatch):
    """Write a user's module where Python finds it; return its file."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    find_modules_in([tmp_path])
    path = tmp_path / "users_module.py"
    path.write_text(CODE)
    yield path
    sys.modules.pop("users_module", None)


def test_a_listed_choice_has_its_traits_and_its_class():
    assert SYSTEMS["hermite"].depth == 1
    assert SYSTEMS.load("hermite").__name__ == "HermiteVAE"
    assert DATASETS["gaussian"].needs == ("data_variance",)
    with pytest.raises(ValueError, match="unknown system, did you mean lvae"):
        SYSTEMS.checked("lave")
    assert SYSTEMS.users("gradient_rho") == ["vae"]


def test_a_users_class_has_its_traits(users_file):
    name = "users_module:Own"
    assert SYSTEMS.checked(name) == name
    assert SYSTEMS[name] == SystemTraits(path=name, smooths=("inference",), depth=3)
    assert SYSTEMS.load(name) is importlib.import_module("users_module").Own
    assert SYSTEMS.users_module(name) == "users_module"
    assert SYSTEMS.users_module("users_package.inner:Own") == "users_package"
    assert SYSTEMS.users_module("vae") is None
    assert name not in list(SYSTEMS)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("users_module:Bare", "no attribute `traits` of type SystemTraits"),
        ("users_module:Nothing", "users_module has no Nothing"),
        ("nowhere_at_all:Own", "No module named 'nowhere_at_all'"),
        ("users_module:", "users_module has no"),
        (":Own", "cannot be imported"),
    ],
)
def test_other_names_are_refused(users_file, name, message):
    with pytest.raises(ValueError, match=message):
        SYSTEMS.checked(name)


def test_a_script_that_ends_the_program_is_refused(users_file):
    users_file.write_text("import sys\nsys.exit('no arguments')\n")
    with pytest.raises(ValueError, match=r"ends the program \(SystemExit: no arguments\); put what it does"):
        SYSTEMS.checked("users_module:Own")


def test_a_module_that_fails_is_refused_with_its_error(users_file):
    users_file.write_text("1 / 0\n")
    with pytest.raises(ValueError, match="cannot be imported: ZeroDivisionError: division by zero"):
        SYSTEMS.checked("users_module:Own")
