"""Checkpoints: what is read is what was written of this very pack, or an error that says why not."""

from pathlib import Path

import pytest
import torch

import sweeps.worker.checkpoints
from sweeps.worker.checkpoints import CheckpointError, read_checkpoint, set_aside, write_checkpoint

STATE = {"pack": {"step": 3, "weights": torch.arange(5000.0)}, "seconds": 1.5}


@pytest.fixture
def written(tmp_path: Path) -> Path:
    path = tmp_path / "a.pt"
    write_checkpoint(path, "a", STATE)
    return path


def test_what_is_written_is_read(written):
    state = read_checkpoint(written, "a")
    assert torch.equal(state["pack"]["weights"], STATE["pack"]["weights"])
    assert (state["pack"]["step"], state["seconds"]) == (3, 1.5)
    assert list(written.parent.iterdir()) == [written]


@pytest.mark.parametrize("part", [0, 0.01, 0.5, 0.999])
def test_a_cut_one_is_refused(written, part):
    written.write_bytes(written.read_bytes()[: int(part * written.stat().st_size)])
    with pytest.raises(CheckpointError, match="is cut or was changed"):
        read_checkpoint(written, "a")


@pytest.mark.parametrize("place", [0.1, 0.5, 0.9])
def test_a_changed_bit_is_seen(written, place):
    content = bytearray(written.read_bytes())
    content[int(place * len(content))] ^= 1
    written.write_bytes(content)
    with pytest.raises(CheckpointError, match="is cut or was changed"):
        read_checkpoint(written, "a")


def test_another_packs_is_refused(written):
    with pytest.raises(CheckpointError, match="belongs to another pack"):
        read_checkpoint(written, "b")


def test_another_version_of_the_numbers_is_refused(written, monkeypatch):
    monkeypatch.setattr(sweeps.worker.checkpoints, "NUMERICS_VERSION", -1)
    with pytest.raises(CheckpointError, match="another version"):
        read_checkpoint(written, "a")


def test_a_foreign_file_is_refused(tmp_path):
    """Also one that torch can read: without the digest it is not ours."""
    path = tmp_path / "a.pt"
    torch.save(STATE, path)
    with pytest.raises(CheckpointError, match="is cut or was changed"):
        read_checkpoint(path, "a")
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_checkpoint(tmp_path / "none.pt", "a")


def test_it_is_set_aside_under_another_name(written):
    bad = set_aside(written)
    assert (bad.name, bad.exists(), written.exists()) == ("a.pt.bad", True, False)


def test_a_full_disk_costs_the_new_one_alone(disk_of):
    """What was there before is still there, and nothing is left aside."""
    disk = disk_of("64k")
    path = disk / "a.pt"
    write_checkpoint(path, "a", STATE)
    with pytest.raises(CheckpointError, match=r"a\.pt cannot be written"):
        write_checkpoint(path, "a", STATE | {"more": torch.zeros(100_000)})
    assert list(disk.iterdir()) == [path]
    assert read_checkpoint(path, "a")["seconds"] == 1.5
