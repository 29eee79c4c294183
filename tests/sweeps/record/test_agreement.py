"""A run belongs to one space, and mixes no devices, data or code."""

import dataclasses
import shutil

import pytest

from sweeps import SweepError
from tests.sweeps.conftest import opened
from tests.sweeps.record.conftest import points


class TestClaim:
    def test_it_belongs_to_one_space(self, tmp_path, make_space):
        with opened(tmp_path / "run", make_space()):
            pass
        other = make_space(name="other", steps=30, ou_samples=2)
        with pytest.raises(SweepError) as caught, opened(tmp_path / "run", other):
            pass
        message = str(caught.value)
        assert str(tmp_path / "run") in message
        for line in (
            "name: 'made' there, 'other' now",
            "steps: 20 there, 30 now",
            "ou_samples: 5 there, 2 now",
        ):
            assert line in message
        assert "--out" in message
        with opened(tmp_path / "run", make_space()):
            """A refusal leaves the directory to its space."""

    @pytest.mark.parametrize(
        "change",
        [
            {"seeds": 5},
            {"latents": [[4, 4], [8, 8]]},
            {"rho": [0.5, 0.6, 1.0]},
            {"search": "refine", "tolerance": 0.1},
            {"active_from": {"kl_top": 0.2}, "confidence": 0.9, "pack_size": 2, "checkpoint_minutes": 0},
        ],
    )
    def test_it_takes_more_of_the_same(self, tmp_path, make_space, train, change):
        with opened(tmp_path / "run", make_space()) as ledger:
            train(ledger, points(0))
        with opened(tmp_path / "run", make_space(**change)) as ledger:
            assert len(ledger.members) == 3

    @pytest.mark.parametrize(
        ("key", "value"), [("device", "cuda"), ("data_digest", "other"), ("code_digest", "c0de")]
    )
    def test_it_does_not_mix_devices_data_or_code(self, tmp_path, make_space, plan_cells, train, key, value):
        alike = plan_cells(make_space())
        other = [dataclasses.replace(cell, **{key: value}) for cell in alike]
        with opened(tmp_path / "run", make_space()) as ledger:
            ledger.require_like(other)
            train(ledger, points(0))
            ledger.require_like(alike)
            held = getattr(alike[0], key)
            with pytest.raises(SweepError, match=f"members with {key} {held}, this sweep has {value}"):
                ledger.require_like(other)

    def test_a_copy_is_a_sweep_of_its_own_and_says_so(self, tmp_path, make_space, train):
        with opened(tmp_path / "run", make_space()) as ledger:
            train(ledger, points(0))
        shutil.copytree(tmp_path / "run", tmp_path / "copy")
        with opened(tmp_path / "copy", make_space()) as copy:
            assert copy.run.sweep_id != ledger.run.sweep_id
            assert copy.run.notices == [
                f"{tmp_path}/copy is a copy of {tmp_path}/run: it gets a sweep of its own in MLflow"
            ]
            assert copy.members.keys() == ledger.members.keys()

    @pytest.mark.parametrize("text", ["[", "", "- a list\n"])
    def test_a_spoilt_space_file_is_named(self, tmp_path, make_space, text):
        with opened(tmp_path / "run", make_space()):
            pass
        (tmp_path / "run" / "space.yaml").write_text(text)
        with (
            pytest.raises(SweepError, match=r"(?s)run/space\.yaml .*delete it"),
            opened(tmp_path / "run", make_space()),
        ):
            pass
