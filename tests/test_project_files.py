"""What the project's own files say twice is the same in both."""

import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_the_citation_is_of_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    project = SETTINGS["project"]
    found = {key: str(citation[key]) for key in ("title", "version", "license")}
    assert found == {"title": project["name"], "version": project["version"], "license": project["license"]}


def test_the_hooks_are_the_checks_of_ci():
    ci = (ROOT / ".ci/run").read_text().splitlines()
    (local,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    hooks = [hook["entry"] for hook in local["hooks"]]
    begin = ci.index(hooks[0])
    assert hooks == ci[begin : begin + len(hooks)]
    assert ci[begin + len(hooks) :][-1].endswith("pytest")


def test_every_package_is_installed_and_says_that_it_is_typed():
    installed = SETTINGS["tool"]["setuptools"]["packages"]
    top = {name.partition(".")[0] for name in installed}
    folders = {path.parent.relative_to(ROOT) for name in top for path in (ROOT / name).rglob("__init__.py")}
    assert {".".join(folder.parts) for folder in folders} == set(installed)
    assert all((ROOT / name / "py.typed").is_file() for name in top)
    assert "py.typed" in SETTINGS["tool"]["setuptools"]["package-data"]["*"]
