"""What the project's own files say twice is the same in both."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())
PACKAGES = sorted({name.partition(".")[0] for name in SETTINGS["tool"]["setuptools"]["packages"]})


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
    assert ci[-1] == "CI_STRICT_SKIPS=1 pytest -n 3"


def test_every_package_is_installed_and_says_that_it_is_typed():
    installed = SETTINGS["tool"]["setuptools"]["packages"]
    found = [path.parent for name in PACKAGES for path in (ROOT / name).rglob("__init__.py")]
    assert {".".join(folder.relative_to(ROOT).parts) for folder in found} == set(installed)
    assert all((ROOT / name / "py.typed").is_file() for name in PACKAGES)
    assert "py.typed" in SETTINGS["tool"]["setuptools"]["package-data"]["*"]


def test_the_architecture_names_every_folder():
    text = (ROOT / "docs/architecture.md").read_text()
    modules = (path for name in PACKAGES for path in (ROOT / name).rglob("*.py"))
    folders = {module.parent.relative_to(ROOT).as_posix() for module in modules} - {"ouvae"}
    assert {folder for folder in folders if f"`{folder}/`" not in text} == set()


DOCUMENTS = [path.relative_to(ROOT).as_posix() for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"))]


@pytest.mark.parametrize("document", sorted({*DOCUMENTS} - {"CHANGELOG.md"}))
def test_the_paths_that_a_document_names_are_there(document):
    text = (ROOT / document).read_text()
    heads = {*PACKAGES, "tests", "benchmarks", "deploy", "docs", ".ci"}
    paths = {path for path in re.findall(r"`([\w.]+/[\w./]*)`", text) if path.partition("/")[0] in heads}
    assert [path for path in paths if not (ROOT / path).exists()] == []
