"""The real command, killed where it hurts: run again it gives the same tables and trains nothing twice."""

import signal

from analysis.tables import read_history, read_members
from search_spaces import load
from sweeps.checkpoints import read_checkpoint, write_checkpoint


def packs_of(fragments: dict[str, object]) -> set[str]:
    return {name.partition(".")[0] for name in fragments}


def test_an_uninterrupted_sweep(uninterrupted):
    """What the others are compared with: a refined sweep with a transition in every cell and seed."""
    sweep, _ = uninterrupted
    members, history, thresholds = sweep.tables()
    assert sweep.counts() == (0, 12)
    assert (len(members), len(sweep.fragments())) == (12, 8)
    assert len(history) == 12 * 3
    assert [row["status"] for row in thresholds] == ["transition", "transition"]
    assert {row["rho"] for row in members} == {0.6, 0.8, 1.0}
    assert list(sweep.out.glob("checkpoints/*")) == []


def test_a_sweep_stopped_at_every_kind_of_moment(start_sweep, uninterrupted, small_space):
    """Killed in its first packs, interrupted by Ctrl-C, killed between packs and before its tables."""
    expected, _ = uninterrupted
    often = ("--set", "checkpoint_minutes=0.001")

    in_a_pack = start_sweep("stopped", *often)
    checkpoints = in_a_pack.out / "checkpoints"
    in_a_pack.until(lambda: list(checkpoints.glob("*.pt")), "a pack in training has saved its state")
    in_a_pack.kill()
    assert not (in_a_pack.out / "members.parquet").exists()
    saved = set()
    for path in checkpoints.glob("*.pt"):
        state = read_checkpoint(path, path.stem)
        assert 0 < state["pack"]["step"] < load(str(small_space)).steps
        write_checkpoint(path, path.stem, state | {"seconds": state["seconds"] + 10_000})
        saved.add(path.stem)
    saved -= packs_of(in_a_pack.fragments())
    assert saved

    interrupted = start_sweep("stopped", *often)
    interrupted.until(lambda: saved & packs_of(interrupted.fragments()), "a saved pack is finished")
    interrupted.process.send_signal(signal.SIGINT)
    assert interrupted.wait() == 130, interrupted.output
    assert "the same command trains what is missing" in interrupted.output
    assert "Traceback" not in interrupted.output
    partial = read_members(interrupted.out)
    finished = interrupted.fragments()
    assert 0 < len(finished) < 8
    assert set(partial["pack_id"].to_pylist()) == packs_of(finished)
    assert set(read_history(interrupted.out)["member_id"].to_pylist()) == set(
        partial["member_id"].to_pylist()
    )

    between = start_sweep("stopped", *often)
    between.until(lambda: len(between.fragments()) > len(finished) + 1, "more packs are finished")
    between.kill()
    assert finished.items() <= between.fragments().items(), "what was finished is not written again"
    finished = between.fragments()
    assert len(finished) < 8

    at_the_end = start_sweep("stopped", *often)
    at_the_end.until(lambda: len(at_the_end.fragments()) == 8, "all packs are finished")
    at_the_end.kill()
    assert finished.items() <= at_the_end.fragments().items()
    finished = at_the_end.fragments()
    assert read_members(at_the_end.out).num_rows < 12, "the kill came before the tables"

    last = start_sweep("stopped", *often)
    assert last.wait() == 0, last.output
    assert last.counts() == (12, 0)
    assert last.fragments() == finished
    assert packs_of(finished) == packs_of(expected.fragments())
    assert last.tables() == expected.tables()
    assert list(checkpoints.glob("*")) == []
    for row in read_members(last.out).to_pylist():
        went_on = row["seconds"] * row["pack_members"] > 10_000
        assert went_on == (row["pack_id"] in saved), "a pack goes on from its own saved state, and no other"
    assert [sweep.processes() for sweep in (in_a_pack, last)] == [{}, {}], "nothing outlives a sweep"
