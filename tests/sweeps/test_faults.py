"""The real command where something breaks: memory, disks, workers, Ray itself. It goes on or says why not."""

import shlex
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from analysis.tables.files import read_members
from sweeps import phase_transition
from tests.sweeps.conftest import ROOT, SERIAL, clean_environment, sets

pytestmark = pytest.mark.process

UNTRAINABLE = """
dataset: digits
latents: [[4, 4]]
ou_samples: 2
rho: [0.6]
search: grid
seeds: 1
steps: 20
eval_every: 20
variants:
  - hidden: [16]
  - hidden: [20000, 2147483647]
"""
"""A cell that trains, and one whose weights take more bytes than any address space has."""

LARGE = """
dataset: digits
latents: [[4, 4]]
hidden: [5000, 5000]
ou_samples: 2
rho: [0.6, 1.0]
search: grid
seeds: 4
pack_size: 4
cpus_per_pack: 2
steps: 2
eval_every: 2
batch_size: 10
eval_images: 10
"""
"""Two packs of four members of 100 million weights each: with gradients and moments 1.6 GB a member."""

MEMBER_GB = 1.6
RAY_GB = 1.5
"""What a local Ray, the driver and idle workers take."""


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


@pytest.fixture(scope="module")
def untrainable(start_sweep, runs, tmp_path_factory):
    """Return a sweep that goes on, or has ended, of which a cell cannot be trained.

    Its Python lies under a path that shells read otherwise, and a process named `uv run` has started it.
    """
    folder = tmp_path_factory.mktemp("untrainable")
    space = write(folder / "untrainable.yaml", UNTRAINABLE)
    environment = folder / "my $HOME's venv"
    environment.mkdir()
    for path in Path(sys.prefix).iterdir():
        (environment / path.name).symlink_to(path)
    python = environment / Path(sys.executable).relative_to(sys.prefix)
    write(runs / "run", '"$@"\nexit $?\n')
    uv = ("bash", "-c", 'exec -a uv bash run "$@"', "-")
    return start_sweep("untrainable", space=space, python=str(python), prefix=uv)


def test_auto_does_not_take_the_private_ray_of_another_sweep(untrainable, tmp_path):
    untrainable.until(lambda: untrainable.named("gcs_server"), "it has started its Ray")
    done = subprocess.run(
        [sys.executable, str(ROOT / "sweeps/phase_transition.py"), "--address", "auto", "--out", "other"],
        cwd=tmp_path,
        env=clean_environment(tmp_path / "home") | {"TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert untrainable.running, "there was a private Ray"
    assert done.returncode == 2, done.stdout
    assert "no Ray at auto: no cluster was started on this machine" in done.stderr
    assert not (tmp_path / "other").exists()


def test_a_pack_that_cannot_be_trained_is_data(untrainable):
    """It is tried again and recorded; the other cell has its curve, and the run its tables."""
    sweep = untrainable
    assert sweep.wait() == 1, sweep.output
    assert "Traceback" not in sweep.output
    assert "allocate memory" in sweep.output.partition("tried again")[0]
    (failure,) = [line for line in sweep.output.splitlines() if line.startswith("FAILED")]
    assert "allocate memory" in failure
    log = (sweep.out / "sweep.log").read_text()
    assert "Traceback" in log
    assert "allocate memory" in log
    rows = read_members(sweep.out).to_pylist()
    assert Counter(row["status"] for row in rows) == {"completed": 1, "failed": 1}
    assert all(("allocate memory" in (row["failure"] or "")) == (row["status"] == "failed") for row in rows)
    assert Counter(sweep.statuses("member")) == {"FINISHED": 1, "FAILED": 1}
    assert sweep.statuses("sweep") == ["FAILED"]


@pytest.mark.proof
def test_a_local_ray_that_is_lost_is_started_again(start_sweep, uninterrupted):
    """Its raylet and its server are killed, and a worker; nobody but a line on the terminal knows.

    Before that its server is killed while Ray starts: so a start fails that Ray gives up on a busy machine.
    """
    expected, _ = uninterrupted
    sweep = start_sweep("lost", "--set", "checkpoint_minutes=0.001")
    killed = sweep.kill_one("gcs_server")
    sweep.until(lambda: set(sweep.named("gcs_server")) - {killed}, "Ray starts anew")
    sweep.until(lambda: list(sweep.out.glob("checkpoints/*.pt")), "a pack in training has saved its state")
    for finished, victim in enumerate(("raylet", "gcs_server"), start=1):
        sweep.kill_one(victim)
        sweep.until(lambda said=finished: sweep.output.count("Ray was lost") == said, f"{victim} is missed")
        sweep.until(lambda more=finished: len(sweep.fragments()) > more, "a pack is finished")
    before = len(sweep.fragments())
    sweep.kill_one("ray::PackTraina")
    assert before < len(expected.fragments()), "the worker was killed while there was work"
    assert sweep.wait() == 0, sweep.output
    assert "Traceback" not in sweep.output
    assert sweep.counts() == (0, 12)
    assert sweep.tables() == expected.tables()
    assert sweep.statuses("member") == ["FINISHED"] * 12


def test_a_disk_that_fills_up_ends_the_sweep_and_loses_nothing(start_sweep, disk_of, where):
    address, expected = where
    often = ("--set", "checkpoint_minutes=0.001", *address)
    disk = disk_of("80m")  # of which a sweep wants 64
    out, filler = disk / "run", disk / "filler"
    sweep = start_sweep(f"full{len(address)}", *often, out=out)
    sweep.until(lambda: list(out.glob("checkpoints/*.pt")), "a pack in training has saved its state")
    with filler.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space left"):
        while True:
            file.write(bytes(4096))
    assert sweep.wait() == 1, sweep.output
    assert "Traceback" not in sweep.output
    (error,) = [line for line in sweep.output.splitlines() if line.startswith("error:")]
    assert "the disk is full" in error
    assert f"make room in {out}" in error
    assert list(out.rglob("*.tmp")) == []
    finished = sweep.fragments()
    assert finished, "the pack that found the disk full is written"
    assert len(read_members(out)) == 2 * len(finished)
    filler.unlink()
    again = start_sweep(f"full{len(address)}", *often, out=out)
    assert again.wait() == 0, again.output
    assert finished.items() <= again.fragments().items()
    assert again.tables() == expected.tables()


@pytest.mark.proof
def test_a_pack_that_ray_kills_for_its_memory_is_trained_in_halves(start_sweep, tmp_path):
    """Ray's monitor kills the worker, which Tune does not know how to take.

    What is allowed lies far from what four members and one need: other processes come and go meanwhile.
    """
    lines = Path("/proc/meminfo").read_text().splitlines()
    memory = {line.split(":")[0]: int(line.split()[1]) / 1e6 for line in lines}
    total, free = memory["MemTotal"], memory["MemAvailable"]
    if free < RAY_GB + 4 * MEMBER_GB + 1:
        pytest.skip(f"{free:.1f} GB of memory are free, too few to use some up")
    allowed = (total - free + RAY_GB + 2.6 * MEMBER_GB) / total
    sweep = start_sweep(
        "memory", space=write(tmp_path / "large.yaml", LARGE), RAY_memory_usage_threshold=f"{allowed:.3f}"
    )
    assert sweep.wait() == 0, sweep.output
    assert "Traceback" not in sweep.output
    assert "Ray killed its worker: the node was running out of memory; tried again in halves" in sweep.output
    assert len(found := read_members(sweep.out)["pack_members"].to_pylist()) == 8
    assert max(found) <= 2


def test_the_exit_code_says_that_mlflow_lacks_something(
    start_sweep, small_space, empty_store, tmp_path, capsys
):
    """Its store breaks while the sweep goes on; with another one the same command logs what is missing."""
    store = shutil.copy(empty_store, tmp_path / "broken.db")
    keys = ["seeds=1", "search=grid", "variants=[]", "latents=[[6, 6], [4, 4]]", "steps=300"]
    small = ["--tracking-uri", f"sqlite:///{store}", *SERIAL, *sets(keys)]
    sweep = start_sweep("unlogged", *small)
    sweep.until(lambda: "members are there already" in sweep.output, "it has begun")
    for path in tmp_path.glob("broken.db*"):  # in place: what is open stays so
        if path.suffix.endswith("-shm"):
            continue
        with path.open("r+b") as file:
            size = file.seek(0, 2)
            file.seek(0)
            file.write(bytes(range(256)) * (size // 256))
    assert sweep.wait() == 3, sweep.output
    assert "Traceback" not in sweep.output
    assert "4 members, 2 cells" in sweep.output.partition("not logged")[0]
    assert "the same command logs what is missing" in sweep.output
    assert len(read_members(sweep.out)) == 4
    store.unlink()
    assert phase_transition.main(["--space", str(small_space), "--out", str(sweep.out), *small]) == 0
    said = capsys.readouterr().out
    assert "4 members are there already" in said
    assert "MLflow: 4 members, 2 cells" in said


def test_neither_the_terminal_nor_the_environment_costs_tables(small_space, tmp_path):
    """`phase_transition.py | head -1` trains to its end, without an input and in a folder that is gone.

    Matplotlib refuses a backend that it does not know, and MLflow warns where warnings are errors.
    """
    keys = ["variants=[]", "latents=[[4, 4]]", "search=grid", "steps=20", "eval_every=20", "track=sweep"]
    command = [sys.executable, str(ROOT / "sweeps/phase_transition.py"), "--space", str(small_space)]
    command += ["--out", str(tmp_path / "run"), *SERIAL, *sets(keys)]
    leaving = f"mkdir gone; cd gone; rmdir ../gone; {shlex.join(command)} <&- | head -1"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {leaving}"],
        cwd=tmp_path,
        env=clean_environment(tmp_path / "home") | {"MPLBACKEND": "Qt4Agg", "PYTHONWARNINGS": "error"},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert len(read_members(tmp_path / "run")) == 4
    figure = Path("figures", "order_parameters.png")
    assert (tmp_path / "run" / figure).is_file()
    assert [*(tmp_path / "mlartifacts").rglob(str(figure))], "MLflow has it too"
