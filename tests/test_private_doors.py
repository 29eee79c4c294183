"""The private surface of a package is used in one module, and bounded by the version that was tested."""

import ast
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("ouvae", "search_spaces", "sweeps", "analysis")


@dataclass(frozen=True)
class Door:
    """The module that uses a package's private surface.

    Attributes:
        module: path of the module.
        private: pattern of names and texts that are private, or that the package calls unstable.
    """

    module: str
    private: str

    @property
    def canaries(self) -> str:
        """Path of the tests that ask the package about each entry of the module."""
        folder, _, name = self.module.rpartition("/")
        return f"tests/{folder}/test_{name}"


DOORS = {
    "torch": Door(
        "ouvae/torch_internals.py",
        r"torch\._[A-Za-z]|torch\.ops\b|torch\.fx\.experimental|torch\.optim\.\w+\.|\._cdata\b",
    ),
    "ray": Door(
        "sweeps/cluster/ray_internals.py",
        r"\bray(\.\w+)*\._(?!_)\w|\bray\.tune\.execution\b|^_temp_dir$|^_QueueActor$|_OR_OSX_CLUSTER|^/ray\.rpc\.",
    ),
    "optuna": Door(
        "sweeps/tracking/optuna_internals.py",
        r"\boptuna(\.\w+)*\._\w|\boptuna\.storages\.journal\.",
    ),
    "mlflow": Door(
        "sweeps/tracking/mlflow_internals.py",
        r"\bmlflow(\.\w+)*\._\w|\bmlflow\.(store|utils|tracking)\.|"
        r"\b(FROM|UPDATE) (runs|experiments)\b|^mlflow\.(sharedViewState|runColor)",
    ),
}


def release(version: str) -> tuple[int, int]:
    major, minor, *_ = version.split(".")
    return int(major), int(minor)


@pytest.mark.parametrize("package", DOORS)
def test_a_package_is_bounded_by_the_version_that_its_canaries_have_seen(package):
    """Bound and pin rise together, after the canaries have passed with the new version."""
    dependencies = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    (match,) = filter(
        None, (re.fullmatch(rf"{package}(?:\[.*\])?>=([\d.]+),<([\d.]+)", text) for text in dependencies)
    )
    lowest, bound = map(release, match.groups())
    constraints = (ROOT / "constraints.txt").read_text()
    major, minor = release(re.search(rf"^{package}==([\d.]+)", constraints, re.MULTILINE)[1])
    assert bound == (major, minor + 1)
    assert lowest <= (major, minor)


@pytest.mark.parametrize("package", DOORS)
def test_no_other_module_uses_what_is_private(package):
    door = DOORS[package]
    paths = [path for folder in PACKAGES for path in (ROOT / folder).rglob("*.py")]
    users = {
        path.relative_to(ROOT).as_posix()
        for path in paths
        if any(re.search(door.private, name) for name in names_and_texts(path))
    }
    assert users == {door.module}


@pytest.mark.parametrize("package", DOORS)
def test_a_door_has_canaries(package):
    assert (ROOT / DOORS[package].canaries).is_file()


def names_and_texts(path: Path) -> Iterator[str]:
    """Yield the dotted names that a file reads or imports, and its texts, without docstrings."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute):
            yield ast.unparse(node)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and "\n" not in node.value:
            yield node.value
        elif isinstance(node, ast.keyword) and node.arg:
            yield node.arg
