"""Which files are the code of a user's own, and which changes of them make other members."""

import importlib
import os
import py_compile
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from ouvae.declared import Cell
from ouvae.declared.registry import find_modules_in
from search_spaces import load
from sweeps import SweepError
from sweeps.executors.events import Finished, Next
from sweeps.executors.serial import Serial
from sweeps.machine.interrupts import Interrupts
from sweeps.plan import users_code
from sweeps.plan.users_code import UsersCode
from sweeps.worker.task import News

OWN = """
{imports}
from ouvae.declared import SystemTraits

class Own:
    traits = SystemTraits(smooths=("likelihood",))

    def forward(self):
        import mine_late
"""

FILES = {
    "mine_main.py": OWN.format(imports="import mine_helper"),
    "mine_helper.py": "SCALE = 1.0",
    "mine_late.py": "",
    "mine_package/__init__.py": "",
    "mine_package/table.npy": "1 2 3",
    "scales/a.csv": "1",
}
"""What a system's module lies among, and may read."""

OUTPUTS = {
    ".gitignore": "*.npy",
    "own.yaml": "{dataset: digits, latents: [[4]], rho: [0.5], system: 'mine_main:Own'}",
    "__pycache__/mine_main.cpython-311.pyc": "",
    "runs/own/.sweep_id": "5",
    "runs/own/members.parquet": "",
    "runs/mlflow.db": "",
    "slurm-1.out": "",
    ".venv/pyvenv.cfg": "",
    "venv/pyvenv.cfg": "",
    "venv/lib/x.py": "",
    "mine_main.py~": "",
}
"""What a run, an editor or a version control leaves beside it."""


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    importlib.invalidate_caches()


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """Write a folder with a system and its neighbours, where Python finds it; return the folder."""
    folder = tmp_path / "mine"
    write(folder, FILES)
    for name in ("path", "meta_path"):
        monkeypatch.setattr(sys, name, [*getattr(sys, name)])
    find_modules_in([folder])
    yield folder
    for name in [name for name in sys.modules if name.startswith("mine_")]:
        del sys.modules[name]


def cells(system: str = "mine_main:Own") -> list[Cell]:
    return load("digits", [f"system={system}", "smoothed_networks=[likelihood]", "latents=[[4]]"]).cells()


def digest(system: str = "mine_main:Own") -> str | None:
    (cell,) = cells(system)
    return UsersCode([cell]).digest(cell)


def copied(folder: Path, system: str = "mine_main:Own") -> set[str]:
    UsersCode(cells(system)).copy_to(folder)
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_a_module_takes_along_what_lies_beside_it_and_not_what_runs_leave_there(mine, tmp_path):
    write(mine, OUTPUTS)
    assert copied(tmp_path / "copy") == {f"0/{name}" for name in FILES}


def test_the_projects_own_need_no_users_code():
    assert digest("vae") is None
    assert UsersCode(cells("vae")).roots == []


@pytest.mark.parametrize("name", [*FILES, "mine_new.py"])
def test_another_text_of_any_file_that_travels_is_another_code(mine, name):
    before = digest()
    write(mine, {name: FILES.get(name, "") + "\n"})
    assert digest() != before


def test_a_file_under_another_name_is_another_code(mine):
    before = digest()
    (mine / "scales/a.csv").rename(mine / "scales/b.csv")
    assert digest() != before


def test_outputs_another_space_and_another_place_are_not_another_code(mine, tmp_path, monkeypatch):
    before = digest()
    write(mine, OUTPUTS)
    assert digest() == before
    sys.modules.pop("mine_main")
    sys.modules.pop("mine_helper")
    sys.path[-1] = str(mine.rename(tmp_path / "elsewhere"))
    importlib.invalidate_caches()
    assert digest() == before


def test_a_package_takes_along_its_folder_and_the_modules_that_it_imports(mine, tmp_path):
    other = tmp_path / "other"
    write(other, {"mine_other.py": "", "beside.csv": ""})
    write(tmp_path / "target", {"mine_installed.py": "", "mine_installed-1.dist-info/METADATA": ""})
    sys.path.insert(0, str(tmp_path / "target"))
    sys.path.insert(0, str(other))
    package = {
        "mine_system/__init__.py": "",
        "mine_system/inner/net.py": OWN.format(
            imports="from ..names import X\nimport mine_other, mine_installed, numpy"
        ),
        "mine_system/names.py": "X = 1",
        "mine_system/table.npy": "",
    }
    write(tmp_path / "mine", package)
    names = copied(tmp_path / "copy", "mine_system.inner.net:Own")
    assert {name.partition("/")[2] for name in names} == {
        *FILES, *package, "mine_other.py", "beside.csv"
    }, "mine_late, which it imports in a function, brings the folder that it lies in"  # fmt: skip


def test_a_package_alone_leaves_its_neighbours(mine, tmp_path):
    text = OWN.format(imports="").replace("import mine_late", "pass")
    write(mine, {"mine_system/__init__.py": text, "mine_system/a.txt": ""})
    assert copied(tmp_path / "copy", "mine_system:Own") == {
        "0/mine_system/__init__.py", "0/mine_system/a.txt"
    }  # fmt: skip


def test_other_cells_of_a_space_change_no_digest(mine):
    text = OWN.format(imports="").replace("import mine_late", "pass")
    write(mine, {"mine_one/__init__.py": text, "mine_two/__init__.py": text})
    systems = ("mine_one:Own", "mine_two:Own", "mine_main:Own")
    all_cells = [cell for system in systems for cell in cells(system)]
    together = UsersCode(all_cells)
    digests = [together.digest(cell) for cell in all_cells]
    assert digests == [digest(system) for system in systems]
    assert len(set(digests)) == 3


def test_modules_that_python_finds_elsewhere_stay_behind(mine, tmp_path):
    """In the folder they are never imported, since users' folders come last; on a worker they come first."""
    write(mine, {"timeit.py": "", "sweeps.py": "", "numpy/__init__.py": "", "ouvae/notes.txt": ""})
    assert copied(tmp_path / "copy") == {f"0/{name}" for name in FILES}


def test_a_module_of_the_scripts_folder_hides_no_users_module(mine, monkeypatch):
    scripts = str(Path(users_code.__file__).parents[1])
    monkeypatch.setattr(sys, "argv", [f"{scripts}/phase_transition.py"])
    sys.path.insert(0, scripts)
    write(mine, {"schedule.py": "", "weights.py": ""})
    find_modules_in([mine])
    assert scripts not in sys.path
    assert importlib.util.find_spec("schedule").origin == str(mine / "schedule.py")


def test_links_are_followed_and_those_in_circles_are_not(mine, tmp_path):
    (tmp_path / "far").mkdir()
    (mine / "mine_helper.py").rename(tmp_path / "far/helper.py")
    (mine / "mine_helper.py").symlink_to(tmp_path / "far/helper.py")
    (mine / "scales").rename(tmp_path / "far/scales")
    (mine / "scales").symlink_to(tmp_path / "far/scales")
    (mine / "mine_package/up").symlink_to(mine)
    (mine / "nowhere").symlink_to(tmp_path / "nothing")
    assert copied(tmp_path / "copy") == {f"0/{name}" for name in FILES}
    before = digest()
    (tmp_path / "far/helper.py").write_text("SCALE = 2.0")
    assert digest() != before


@pytest.mark.parametrize("size", [1, 300 * 2**20])
def test_a_folder_that_is_too_large_is_refused_with_the_limit(mine, size, monkeypatch):
    monkeypatch.setattr(users_code, "MOST_FILES", 20)
    for index in range(20 if size == 1 else 1):
        with (mine / f"{index}.bin").open("wb") as file:
            file.truncate(size)
    with pytest.raises(
        SweepError, match=r"more than 20 files and folders or 256 MiB, the limit.*a folder of its own"
    ):
        UsersCode(cells())


def test_bytecode_of_another_text_is_refused(mine):
    """Python runs it in place of a file of its time and size, whose digest members would have."""
    helper = mine / "mine_helper.py"
    py_compile.compile(str(helper))
    before, time = digest(), helper.stat().st_mtime
    helper.write_text("SCALE = 3.0")
    os.utime(helper, (time, time))
    with pytest.raises(SweepError, match=r"mine_helper.py' is not what Python runs.*delete the bytecode"):
        UsersCode(cells())
    os.utime(helper, (time, time + 1))
    assert digest() != before


def test_a_file_that_the_command_prints_into_is_no_code(mine, monkeypatch):
    before = digest()
    with (mine / "log.txt").open("w") as log:
        status = os.fstat(log.fileno())
        monkeypatch.setattr(os, "fstat", lambda descriptor: status)
        assert digest() == before


def test_what_cannot_be_read_is_refused_by_name(mine):
    (mine / "table.bin").symlink_to("/proc/self/mem")
    with pytest.raises(SweepError, match=r"'.*/mine/table.bin' cannot be read \(.*make it readable, or move"):
        UsersCode(cells())


def test_a_module_in_an_archive_is_refused(tmp_path, monkeypatch):
    archive = tmp_path / "mine.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("mine_zipped.py", OWN.format(imports=""))
    monkeypatch.setattr(sys, "path", [str(archive), *sys.path])
    with pytest.raises(
        SweepError, match=r"'mine_zipped' \('.*mine.zip/mine_zipped.py'\) is no file or folder"
    ):
        UsersCode(cells("mine_zipped:Own"))
    sys.modules.pop("mine_zipped")


def test_a_file_that_changes_while_it_is_used_ends_the_sweep(mine, tmp_path, monkeypatch):
    code = UsersCode(cells())
    work = type(
        "Work", (), {"advance": lambda self, seconds: {}, "take_news": lambda self: News(), "steps_done": 1}
    )()
    monkeypatch.setattr("sweeps.executors.serial.PackWork", lambda task, data: work)
    task, idle = SimpleNamespace(pack_id="a", data="d1g357"), Interrupts(25, print)

    def trained():
        tasks = iter([Next(task), Next(None, finished=True)])
        return list(Serial(1, code).train({"d1g357": None}, lambda: next(tasks), None, idle))

    (mine / "scales/a.csv").touch()
    assert isinstance(trained()[-1], Finished), "the same text again"
    (mine / "scales/a.csv").write_text("2")
    with pytest.raises(
        SweepError, match=r"scales/a.csv' has changed since the start.*the same command again"
    ):
        trained()
    with pytest.raises(SweepError, match="has changed since the start"):
        code.copy_to(tmp_path / "copy")
