"""Workers run the code that was there when the sweep started, and nothing that lies elsewhere."""

import importlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sweeps import SweepError
from sweeps.cluster.environment import environment
from sweeps.plan.users_code import UsersCode
from sweeps.worker import snapshot
from tests.recipe import write_beside, write_recipe
from tests.sweeps.conftest import ROOT, sets
from tests.sweeps.plan.test_users_code import cells, mine  # noqa: F401 - a fixture

WORKER = """
import json, os, sys
from sweeps.worker import snapshot
os.environ[snapshot.DIGESTS] = json.dumps(snapshot.digests())
snapshot.use()
import mine_helper, ouvae, sweeps, timeit
print(json.dumps([m.__file__ for m in (mine_helper, ouvae, sweeps, timeit)] + [mine_helper.SCALE]))
"""


@pytest.fixture
def taken(mine, tmp_path) -> Path:  # noqa: F811
    """Take the snapshot of a sweep of the user's system, and return its folder."""
    folder = tmp_path / "code"
    snapshot.take(folder, UsersCode(cells()))
    return folder


def test_a_process_in_the_snapshot_imports_it_alone(taken, mine, tmp_path, monkeypatch):  # noqa: F811
    """Whatever lies in the folder of the command, is on its PYTHONPATH, was edited since, or comes first by
    what users' code does to `sys.path`."""
    (mine / "mine_helper.py").write_text("SCALE = 2.0")
    worker = WORKER.replace("import mine_helper", f"sys.path.insert(0, '{mine}')\nimport mine_helper")
    for name in ("timeit.py", "sweeps.py"):
        (tmp_path / name).write_text("raise ImportError")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", f":{ROOT}:mine")
    values = environment(None, False, taken)
    assert values["PYTHONPATH"] == f"{taken}:{ROOT}:{mine}"
    command = [sys.executable, "-P", "-c", worker]
    done = subprocess.run(command, cwd=taken, env=values, check=True, capture_output=True, text=True)
    *files, scale = json.loads(done.stdout)
    assert [Path(file).is_relative_to(taken) for file in files] == [True, True, True, False]
    assert "mine" not in files[3]
    assert scale == 1.0


def test_the_snapshot_is_all_of_the_project(taken):
    for name in snapshot.PACKAGES:
        there = {path.relative_to(ROOT) for path in (ROOT / name).rglob("*") if path.is_file()}
        there = {path for path in there if "__pycache__" not in path.parts}
        assert there == {
            path.relative_to(taken)
            for path in (taken / name).rglob("*")
            if path.is_file() and snapshot.USERS not in path.parts
        }


@pytest.mark.parametrize(
    "name", ["ouvae/training/step/step.py", "analysis/tables/schema.py", "search_spaces/digits.yaml"]
)
def test_a_worker_that_imports_other_code_says_which(taken, monkeypatch, name):
    shutil.rmtree(taken / "sweeps" / snapshot.USERS)
    folders = {package: taken / package for package in snapshot.PACKAGES}
    monkeypatch.setattr(snapshot, "package_folders", lambda: folders)
    monkeypatch.setenv(snapshot.DIGESTS, json.dumps(snapshot.digests()))
    snapshot.use()
    (taken / name).write_text("")
    package = name.partition("/")[0]
    with pytest.raises(SweepError, match=rf"imports '{package}' from '{taken / package}', which is not what"):
        snapshot.use()


def test_a_users_module_that_a_worker_imported_from_elsewhere_is_refused(taken, mine, monkeypatch):  # noqa: F811
    folders = {package: taken / package for package in snapshot.PACKAGES}
    monkeypatch.setattr(snapshot, "package_folders", lambda: folders)
    monkeypatch.setenv(snapshot.DIGESTS, json.dumps(snapshot.digests()))
    with pytest.raises(SweepError, match=rf"imports 'mine_(helper|main)' from '{mine}/mine_"):
        snapshot.use()


def test_a_module_that_users_code_finds_elsewhere_is_refused(tmp_path, monkeypatch):
    """As by its name as text, `import_module(name)`: it is not copied, and not in the digest."""
    before = frozenset(sys.modules)
    (tmp_path / "elsewhere.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.import_module("elsewhere")
    with pytest.raises(SweepError, match=rf"imports 'elsewhere' from '{tmp_path}/els.*adds to sys.path"):
        snapshot.require_sent(before)
    del sys.modules["elsewhere"]
    snapshot.require_sent(before - {"json", "pytest", "sweeps"})


def test_a_snapshot_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "code").write_text("")
    with pytest.raises(SweepError, match=r"the code cannot be copied for the workers: .*make room for it in"):
        snapshot.take(tmp_path / "code", UsersCode(()))


@pytest.mark.process
def test_workers_train_with_the_users_code_of_the_start(start_sweep, tmp_path):
    """Two files and one that git ignores, all of them broken once the sweep has started."""
    space = write_recipe(tmp_path)
    write_beside(tmp_path)
    (tmp_path / "random.py").write_text("1 / 0")
    settings = sets(["search=grid", "seeds=1", "steps=20", "eval_every=20", "rho=[0.5]", "track=sweep"])
    sweep = start_sweep("users_code", *settings, space=space)
    sweep.until(lambda: "starting Ray" in sweep.output, "the code is read")
    sweep.until(lambda: sweep.named("raylet"), "the code is copied")
    for name in ("scale.py", "scale.json", "flat.py"):
        (tmp_path / name).write_text("1 / 0")
    assert sweep.wait() == 0, sweep.output
    assert sweep.counts() == (0, 1)


SWEEP = """
import sys
from sweeps import driver, phase_transition
from sweeps.terminal.lines import Lines

def own():
    packages = ("ouvae", "search_spaces", "sweeps", "analysis")
    return {name for name in sys.modules if name.split(".")[0] in packages}

take_time = Lines.timed

def watched(lines):
    global before
    before = own()
    return take_time(lines)

Lines.timed = watched
code = phase_transition.main(sys.argv[1:])
assert code == 0, code
assert own() == before, own() - before
"""


@pytest.mark.process
def test_a_sweep_imports_nothing_of_the_checkout_once_it_trains(tmp_path):
    """Another branch may be checked out while it goes on."""
    small = ["steps=30", "eval_every=30", "latents=[[4,4]]", "hidden=[8]", "seeds=1", "search=grid"]
    settings = [part for setting in (*small, "rho=[0.5,1.0]", "track=sweep") for part in ("--set", setting)]
    command = [sys.executable, "-c", SWEEP, *settings, "--address", "serial", "--out", str(tmp_path / "run")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
