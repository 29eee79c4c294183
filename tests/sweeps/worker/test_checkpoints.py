"""Checkpoints: what is read is what was written of this very pack, or an error that says why not."""

from pathlib import Path

import pytest
import torch

import sweeps.worker.checkpoints
from sweeps.worker.checkpoints import CheckpointError, read_checkpoint, write_checkpoint
from sweeps.worker.states import Folder

STATE = {"pack": {"step": 3, "weights": torch.arange(5000.0)}, "seconds": 1.5}


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """Return a folder with the state of pack a."""
    states = Folder(str(tmp_path))
    write_checkpoint(states, "a", STATE)
    return states


@pytest.fixture
def written(folder: Folder) -> Path:
    return Path(folder.path) / "a.pt"


@pytest.mark.parametrize("part", [0, 0.01, 0.5, 0.999])
def test_a_cut_one_is_refused(folder, written, part):
    written.write_bytes(written.read_bytes()[: int(part * written.stat().st_size)])
    with pytest.raises(CheckpointError, match="is cut or was changed"):
        read_checkpoint(folder, "a")


@pytest.mark.parametrize("place", [0.1, 0.5, 0.9])
def test_a_changed_bit_is_seen(folder, written, place):
    content = bytearray(written.read_bytes())
    content[int(place * len(content))] ^= 1
    written.write_bytes(content)
    with pytest.raises(CheckpointError, match="is cut or was changed"):
        read_checkpoint(folder, "a")


def test_another_version_of_the_numbers_is_refused(folder, monkeypatch):
    monkeypatch.setattr(sweeps.worker.checkpoints, "NUMERICS_VERSION", -1)
    with pytest.raises(CheckpointError, match="another version"):
        read_checkpoint(folder, "a")


def test_a_file_without_the_digest_is_refused(folder, written):
    """Also one that torch can read."""
    torch.save(STATE, written)
    with pytest.raises(CheckpointError, match="is cut or was changed"):
        read_checkpoint(folder, "a")


def test_a_full_disk_costs_the_new_one_alone(disk_of):
    """What was there before is still there, and nothing is left aside."""
    disk = disk_of("64k")
    states = Folder(str(disk))
    write_checkpoint(states, "a", STATE)
    with pytest.raises(CheckpointError, match=r"a\.pt cannot be written"):
        write_checkpoint(states, "a", STATE | {"more": torch.zeros(100_000)})
    assert list(disk.iterdir()) == [disk / "a.pt"]
    assert read_checkpoint(states, "a")["seconds"] == 1.5
