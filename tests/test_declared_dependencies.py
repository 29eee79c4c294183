"""What is imported is declared in pyproject.toml, and what is declared is pinned in constraints.txt."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator
from importlib.metadata import requires
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PACKAGES = ("ouvae", "search_spaces", "sweeps", "analysis")

DISTRIBUTIONS = {
    "grpc": "grpcio",
    "sklearn": "scikit-learn",
    "vl_convert": "vl-convert-python",
    "yaml": "pyyaml",
}
"""The distributions of modules that are named otherwise."""


def names(requirements: Iterable[str]) -> set[str]:
    """Return the normalized names of requirements, as PyPI compares them."""
    return {_normalized(re.match(r"[\w.-]+", text)[0]) for text in requirements}


def _normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def imported(*folders: str) -> set[str]:
    """Return the distributions whose modules are imported by any file in the folders."""
    found = {name for folder in folders for path in (ROOT / folder).rglob("*.py") for name in _modules(path)}
    foreign = found - sys.stdlib_module_names - {*PACKAGES, "benchmarks", "tests"}
    return {_normalized(DISTRIBUTIONS.get(name, name)) for name in foreign}


def _modules(path: Path) -> Iterator[str]:
    """Yield the top-level names that a file imports, at its head or anywhere else."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


RUNTIME = names(PROJECT["dependencies"])
OPTIONAL = names(PROJECT["optional-dependencies"]["polars"])
DEVELOPMENT = names(PROJECT["optional-dependencies"]["dev"])
DASHBOARD = names(text for text in requires("ray") or () if re.search(r"extra == .default.", text))


def test_what_the_packages_import_is_declared_and_nothing_else():
    assert imported(*PACKAGES) == RUNTIME | OPTIONAL


def test_what_the_benchmarks_and_tests_import_is_declared():
    assert imported("benchmarks", "tests") <= RUNTIME | DEVELOPMENT


def pins(file: str) -> dict[str, str]:
    """Return the versions in a file of constraints, which has nothing else but a head."""
    lines = [line for line in (ROOT / file).read_text().splitlines() if not line.startswith("#")]
    found = {_normalized(name): version for name, _, version in (line.partition("==") for line in lines)}
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in lines)
    assert len(found) == len(lines)
    return found


def test_every_dependency_is_pinned():
    assert pins("constraints.txt").keys() >= RUNTIME | DEVELOPMENT | DASHBOARD


def test_the_dashboards_ray_is_the_ray_of_the_sweeps():
    (ray,) = PROJECT["optional-dependencies"]["dashboard"]
    assert ray.replace("[default]", "[client,tune]") in PROJECT["dependencies"]


def test_the_lowest_versions_are_the_declared_ones():
    """But for torch, whose bound is lower than what was tried."""
    pinned = pins("constraints-lowest.txt")
    texts = (re.sub(r"\[.*?\]|,<.*", "", text) for text in PROJECT["dependencies"])
    declared = dict(text.split(">=") for text in texts)
    assert set(map(_normalized, declared)) == RUNTIME
    differing = {
        name: (bound, pinned[_normalized(name)])
        for name, bound in declared.items()
        if re.sub(r"(\.0)+$", "", bound) != re.sub(r"(\.0)+$", "", pinned[_normalized(name)])
    }
    assert differing.keys() == {"torch"}
