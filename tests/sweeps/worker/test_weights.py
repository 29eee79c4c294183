"""Files of weights: a file that was changed is refused by name."""

import contextlib

import pytest
import torch

from sweeps.worker.weights import WeightsError, read_pack_weights, read_weights, write_weights


def test_a_flipped_bit_never_gives_other_weights(tmp_path, make_space):
    path = tmp_path / "0123.safetensors"
    (cell,) = make_space().cells()
    weights = {"weight": torch.arange(6.0).reshape(2, 3)}
    members = [(0.5, 0), (1.0, 3)]
    write_weights(path, cell, "rho", (8, 8, 1), members, weights, "last")
    whole, refused = path.read_bytes(), 0
    for bit in range(0, 8 * len(whole), 31):
        changed = bytearray(whole)
        changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        with contextlib.suppress(WeightsError):
            kept = read_pack_weights(path)
            assert (kept.cell, kept.members, kept.state) == (cell, members, "last")
            assert torch.equal(kept.weights["weight"], weights["weight"])
            continue
        refused += 1
    assert refused > 8 * len(whole) // 31 * 0.9


def test_weights_of_another_pack_are_refused(tmp_path, make_space):
    """Packs of different cells have members of the same rho and seed."""
    path = tmp_path / "0123.safetensors"
    (cell,) = make_space().cells()
    write_weights(path, cell, "rho", (8, 8, 1), [(0.5, 0)], {"weight": torch.zeros(1, 3)}, "last")
    other = path.rename(tmp_path / "4567.safetensors")
    for read in (lambda: read_weights(other, 0.5, 0), lambda: read_pack_weights(other)):
        with pytest.raises(WeightsError, match=r"4567\.safetensors .*the weights of pack 0123; put back"):
            read()
