"""The real command, killed where it hurts: run again it gives the same tables and trains nothing twice."""

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from analysis.tables.files import read_history, read_members
from search_spaces import load
from sweeps.worker.checkpoints import read_checkpoint
from sweeps.worker.states import Folder
from tests.sweeps.conftest import SERIAL, add_seconds, wait_until

pytestmark = pytest.mark.process


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """Return a folder whose path is short enough for Ray's sockets."""
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    yield folder
    shutil.rmtree(folder)


def packs_of(fragments: dict[str, object]) -> set[str]:
    return {name.partition(".")[0] for name in fragments}


def test_an_uninterrupted_sweep(uninterrupted):
    """What the others are compared with: a refined sweep with a transition in every cell and seed."""
    sweep, _ = uninterrupted
    members, history, thresholds = sweep.tables()
    assert sweep.counts() == (0, 12)
    assert (len(members), len(sweep.fragments())) == (12, 8)
    assert len(history) == 12 * 3
    of_kl = [row["status"] for row in thresholds if row["order_parameter"] == "kl_top"]
    assert of_kl == ["transition", "transition"]
    assert {row["rho"] for row in members} == {0.6, 0.8, 1.0}
    assert list(sweep.out.glob("checkpoints/*")) == []
    assert f"report   {sweep.out}/report.html" in sweep.output
    page = (sweep.out / "report.html").read_text()
    assert all(row["member_id"] in page for row in members)


def test_a_sweep_stopped_at_every_kind_of_moment(start_sweep, small_space, short_folder, where):
    """Stopped by SIGTERM in its first packs, by Ctrl-C, killed between packs and before its tables."""
    address, expected = where
    often = ("--set", "checkpoint_minutes=0.001", *address)
    name, packs = f"stopped{len(address)}", len(expected.fragments())

    in_a_pack = start_sweep(name, *often)
    checkpoints = in_a_pack.out / "checkpoints"
    in_a_pack.until(lambda: list(checkpoints.glob("*.pt")), "a pack in training has saved its state")
    assert in_a_pack.stop(signal.SIGTERM) == 128 + signal.SIGTERM, in_a_pack.output
    assert in_a_pack.statuses("sweep") == ["KILLED"]
    states = Folder(str(checkpoints))
    saved = set(add_seconds(states)) - packs_of(in_a_pack.fragments())
    for pack_id in states.packs():
        assert 0 < read_checkpoint(states, pack_id)["pack"]["step"] <= load(str(small_space)).cells()[0].steps
    assert saved

    interrupted = start_sweep(name, *often)
    interrupted.until(lambda: saved & packs_of(interrupted.fragments()), "a saved pack is finished")
    interrupted.until(lambda: "RUNNING" in interrupted.statuses("cell"), "a cell is in MLflow")
    assert interrupted.stop(signal.SIGINT) == 128 + signal.SIGINT, interrupted.output
    assert "the same command trains what is missing" in interrupted.output
    assert interrupted.statuses("sweep") == ["KILLED"]
    assert set(interrupted.statuses("cell")) == {"KILLED"}
    partial = read_members(interrupted.out)
    finished = interrupted.fragments()
    assert 0 < len(finished) < packs
    assert set(partial["pack_id"].to_pylist()) == packs_of(finished)
    assert set(read_history(interrupted.out)["member_id"].to_pylist()) == set(
        partial["member_id"].to_pylist()
    )
    assert list(interrupted.out.glob("figures/*.png"))

    between = start_sweep(name, *often, TMPDIR=str(short_folder))
    between.until(lambda: len(between.fragments()) > len(finished), "more packs are finished")
    if not address:  # where packs train one by one, those that are left may be too short to save anything
        between.until(lambda: list(checkpoints.glob("*.pt")), "a pack in training has saved its state")
    left = [path for path in short_folder.iterdir() if path.name.startswith("ouvae-")]
    assert left, "what is looked for below is looked for in the right place"
    between.kill()
    if not address:
        wait_until(lambda: not list(short_folder.iterdir()), "what Ray and Tune wrote is removed", 75)
    assert finished.items() <= between.fragments().items(), "what was finished is not written again"
    finished = between.fragments()
    assert len(finished) < packs
    cut = [path for path in checkpoints.glob("*.pt") if path.stem not in packs_of(finished)]
    for path in cut:
        os.truncate(path, path.stat().st_size // 2)
    (between.out / "figures" / f".kl.svg.{2**22 + 1}.01234567.tmp").touch()

    at_the_end = start_sweep(name, *often, TMPDIR=str(short_folder))
    while len(packs_of(at_the_end.fragments())) < packs:  # the tables follow within a tenth of a second
        assert at_the_end.running, at_the_end.output
        time.sleep(0.002)
    at_the_end.kill()
    assert not any(path.exists() for path in left), "the next sweep removes what a killed one could not"
    assert finished.items() <= at_the_end.fragments().items()
    finished = at_the_end.fragments()
    assert read_members(at_the_end.out).num_rows < 12, "the kill came before the tables"
    for path in cut:
        assert f"checkpoint set aside as {path.name}.bad" in at_the_end.output
        assert (checkpoints / f"{path.name}.bad").exists()

    last = start_sweep(name, "--set", "checkpoint_minutes=0.001", *SERIAL)
    assert last.wait() == 0, last.output
    assert last.counts() == (12, 0)
    assert last.fragments() == finished
    assert packs_of(finished) == packs_of(expected.fragments())
    assert last.tables() == expected.tables()
    assert last.statuses("sweep") == ["FINISHED"]
    assert last.statuses("cell") == ["FINISHED"] * 2
    assert last.statuses("member") == ["FINISHED"] * 12
    assert list(checkpoints.glob("*.pt")) == []
    assert list(last.out.rglob("*.tmp")) == []
    saved -= {path.stem for path in cut}
    for row in read_members(last.out).to_pylist():
        if row["pack_id"] not in {path.stem for path in cut}:
            went_on = row["seconds"] * row["pack_members"] > 10_000
            assert went_on == (row["pack_id"] in saved), "a pack goes on from its own state, and no other"
    assert [sweep.processes() for sweep in (in_a_pack, interrupted)] == [{}, {}], "nothing outlives a sweep"
    for sweep in (in_a_pack, interrupted, between, at_the_end, last):
        assert "Traceback" not in sweep.output
    assert not (last.store.parent / "home" / ".ray").exists(), "Ray's ways with clusters stay as they were"
