"""The real command with states outside its run directory."""

import os
import signal

import pytest

from analysis.tables.files import read_members
from search_spaces import load
from sweeps.record.identity import plain_id
from sweeps.worker.objects import Objects
from tests.sweeps.conftest import SERIAL, add_seconds, sets


@pytest.mark.process
def test_a_pack_goes_on_from_a_bucket_whatever_dies(start_sweep, small_space, bucket):
    """The command is killed, and goes on on a Ray whose workers are killed; nothing starts afresh."""
    steps = 2 * load(str(small_space)).cells()[0].steps
    keys = ["variants=[]", "latents=[[6, 6]]", "search=grid", "seeds=1", "pack_size=1"]
    keys += [f"steps={steps}", f"eval_every={steps}"]
    arguments = [*sets([*keys, "checkpoint_minutes=0.001"]), "--checkpoints", bucket]
    expected = start_sweep("here", *sets(keys), *SERIAL)
    killed = start_sweep("bucket", *arguments, *SERIAL)
    killed.until(lambda: plain_id(killed.out), "it has begun")
    states = Objects(bucket, plain_id(killed.out))
    killed.until(states.packs, "a pack in training has saved its state")
    killed.kill()
    saved = add_seconds(states)
    assert saved
    assert list(killed.out.glob("checkpoints/*")) == []

    sweep = start_sweep("bucket", *arguments[:-2])  # the run knows where its states are
    went_on = sweep.until(
        lambda: [pack_id for pack_id in saved if states.read(pack_id) != saved[pack_id]], "a pack goes on"
    )
    for pid in sweep.named("ray::PackTraina"):
        os.kill(pid, signal.SIGKILL)
    assert sweep.wait() == 0, sweep.output
    assert "starts afresh" not in sweep.output
    assert expected.wait() == 0, expected.output
    assert sweep.tables() == expected.tables()
    rows = [row for row in read_members(sweep.out).to_pylist() if row["pack_id"] in went_on]
    assert all(row["seconds"] * row["pack_members"] > 10_000 for row in rows)
    assert states.packs() == []
