"""Where a run keeps the states of its packs: recorded, moved to another place, and removed with the run."""

import shutil

import pytest

from sweeps import SweepError
from sweeps.record.directory import RunDirectory
from sweeps.record.ledger import Ledger
from sweeps.record.removal import remove_run, run_states
from sweeps.record.states import recorded_uri
from sweeps.worker.states import States


def put(states: States, pack_id: str) -> None:
    with states.replaced(pack_id) as file:
        file.write(pack_id.encode())


@pytest.fixture
def uri(tmp_path) -> str:
    return f"file://{tmp_path}/elsewhere"


@pytest.fixture
def begin(tmp_path, make_space):
    """Return a function that begins a run with this option, saves states of packs, and returns the run."""

    def begin(option: str | None, *pack_ids: str, name: str = "run") -> RunDirectory:
        run, space = RunDirectory(tmp_path / name, option), make_space()
        with run.held():
            Ledger(run, space)
            run.begin(space.model_dump(mode="json"))
            for pack_id in pack_ids:
                put(run.states, pack_id)
        return run

    return begin


def test_a_run_finds_its_states_again_and_takes_them_along(begin, uri, tmp_path):
    assert begin("", "a").states.packs() == ["a"]
    there = begin(uri, "b")
    assert there.notices == [f"states of 1 pack are moved from {there.path} to {uri}"]
    assert list(there.checkpoints.iterdir()) == []
    again = begin(None)
    assert again.notices == []
    assert (again.states.packs(), again.states.read("b")) == (["a", "b"], b"b")
    back = begin("")
    assert (back.states.packs(), recorded_uri(back.path)) == (["a", "b"], "")
    assert there.states.packs() == []


def test_states_that_cannot_be_moved_are_said_and_stay(begin, uri, tmp_path):
    begin("", "a")
    (tmp_path / "elsewhere").write_text("no folder")
    run = begin(uri)
    (notice,) = run.notices
    assert notice.startswith("states of packs are not moved from")
    assert (run.checkpoints / "a.pt").exists()


def test_a_place_that_fails_is_asked_once_to_remove_what_is_finished(begin, uri, tmp_path):
    run = begin(uri, "a", "b")
    shutil.move(tmp_path / "elsewhere", tmp_path / "moved")
    (tmp_path / "elsewhere").write_text("no folder")
    for pack_id in ("a", "b"):
        run.drop_checkpoint(pack_id)
    (line,) = run.log.read_text().splitlines()
    assert line.startswith("the state of pack a is left: it cannot be deleted")


def test_a_run_is_removed_with_its_states_and_no_others(begin, uri, tmp_path):
    run, other = begin(uri, "a"), begin(uri, "a", name="other")
    shutil.copytree(run.path, tmp_path / "copy")
    assert run_states([run.path])[0].state == f"states in {uri}"
    remove_run(tmp_path / "copy", lambda state: None)
    assert run.states.packs() == ["a"]
    remove_run(run.path, lambda state: None)
    assert run.states.packs() == []
    assert other.states.packs() == ["a"]
    (tmp_path / "elsewhere").rename(tmp_path / "moved")
    (tmp_path / "elsewhere").write_text("no folder")
    with pytest.raises(SweepError, match="other is not deleted: a state of its packs"):
        remove_run(other.path, lambda state: None)
    assert other.settings.exists()
