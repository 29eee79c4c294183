"""Which commit and which machine members are said to come from."""

import shutil
import subprocess
from pathlib import Path

import pytest

from sweeps.record import provenance
from sweeps.record.provenance import commit_of
from sweeps.worker import hardware
from sweeps.worker.hardware import joined

FILE = "sweeps/record/provenance.py"


def git(folder: Path, *arguments: str) -> str:
    settings = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
    done = subprocess.run(
        ["git", *settings, *arguments], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path) -> Path:
    """Make a repository with a commit, and the project's files in it that git does not know."""
    folder = tmp_path / "repository"
    (folder / FILE).parent.mkdir(parents=True)
    shutil.copy(provenance.__file__, folder / FILE)
    git(folder, "init", "-q")
    git(folder, "commit", "-q", "--allow-empty", "-m", "a paper")
    return folder


def test_the_commit_is_that_of_the_projects_own_repository(repository, monkeypatch, tmp_path):
    git(repository, "add", FILE)
    git(repository, "commit", "-q", "-m", "the project")
    head = git(repository, "rev-parse", "HEAD")
    assert commit_of(repository) == head
    (repository / FILE).write_text("edited")
    assert commit_of(repository) == f"{head}-dirty"
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "-q")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))  # as in a hook of another repository
    assert commit_of(repository) == f"{head}-dirty"


def test_a_repository_of_something_else_says_nothing(repository, tmp_path):
    assert commit_of(repository) is None, "git does not know the project's files"
    inside = repository / ".venv/lib/site-packages"
    shutil.copytree(repository / "sweeps", inside / "sweeps")
    git(repository, "add", ".")
    git(repository, "commit", "-q", "-m", "a paper with its environment")
    assert commit_of(inside) is None, "the project lies below the top"
    assert commit_of(tmp_path) is None


def test_a_machine_says_what_its_numbers_depend_on(monkeypatch):
    here = hardware.machine("cpu")
    assert all(here.values()), here
    assert "NumPy " in here["library_versions"]
    monkeypatch.setattr("torch.backends.cpu.get_cpu_capability", lambda: "AVX2")
    told = "model name\t: A CPU\nflags\t\t: fpu avx avx2 avx512f fma sse\n\nmodel name\t: another\n"
    monkeypatch.setattr(Path, "read_text", lambda self, **options: told)
    there = hardware.machine("cpu")
    assert there["processor"] == "A CPU"
    assert there["cpu_features"] == "AVX2 avx avx2 avx512f fma"
    both = joined([here, there, here])
    assert both["processor"] == f"{here['processor']}; A CPU"
    assert both["library_versions"] == here["library_versions"]
