"""Identities of members, and how members are packed."""

import dataclasses
import hashlib
import json
import math
import random
from dataclasses import replace
from itertools import pairwise
from types import NoneType
from typing import Annotated, Literal, get_args, get_origin

import numpy as np
import pytest

from ouvae import TRAINING_VERSION
from ouvae.data import load as load_data
from ouvae.declared import Cell, keys_of
from ouvae.declared.cell import CHOICES
from ouvae.declared.controls import at_value, canonical
from ouvae.linear_gaussian import critical_values
from ouvae.training.counts import member_bytes
from search_spaces import SweptCell, load
from search_spaces.space import CellKeys
from sweeps import SweepError
from sweeps.plan.cells import PlannedCell, Point, plan_cells
from sweeps.plan.packs import (
    GPU_PACK_BYTES,
    LARGEST_GPU_PACK,
    LARGEST_PACK,
    LARGEST_SMALL_PACK,
    Pack,
    Packing,
    largest_pack,
    pack_points,
)

CELL = {
    "dataset": "digits",
    "system": "vae",
    "objective": "elbo",
    "architecture": "mlp",
    "hidden": [64, 64],
    "likelihood": "bernoulli",
    "smoothing": "posterior",
    "smoothed_networks": ["generative"],
    "ou_samples": 5,
    "steps": 2000,
    "batch_size": 100,
    "learning_rate": 0.003,
    "eval_every": 500,
    "precision": "float32",
    "latents": [10, 10],
}
"""A cell's keys that have no neutral value. Another one added here would rename every member there is: what
is added has a neutral value."""


def another(name: str) -> object:
    """Return another value of a key than that of `CELL`, or than its neutral one."""
    key = keys_of(Cell)[name]
    held = CELL.get(name, key.neutral if key.has_neutral else None)
    if name in CHOICES:
        return next(choice for choice in CHOICES[name] if choice != held)
    return next(value for value in candidates(key.annotation) if value != held)


def candidates(annotation: object) -> list:
    """Return values of a declared type, at least two where it has two."""
    if get_origin(annotation) is Annotated:
        return candidates(get_args(annotation)[0])
    if get_origin(annotation) is Literal:
        return list(get_args(annotation))
    if get_origin(annotation) is tuple:
        return [[value] for value in candidates(get_args(annotation)[0])]
    if annotation in (int, float):
        return [annotation(7), annotation(9)] if annotation is int else [0.25, 0.5]
    return candidates(next(part for part in get_args(annotation) if part is not NoneType))


VARIABLE = sorted(set(keys_of(Cell)) - {"start", "rho"})
"""The keys of a cell that have more than one value, except its control parameter."""

NUMBERLESS = {
    "question": "why",
    "name": "other",
    "rho": [0.2, 0.3],
    "seeds": [7],
    "search": "grid",
    "tolerance": 0.5,
    "max_members": 50,
    "probes": 6,
    "until": "decided",
    "margin": 0.1,
    "refine_points": 1,
    "active_from": {"kl_top": 0.5, "signal_share_top": "half_plateau"},
    "follow": "information_top",
    "confidence": 0.5,
    "device": "cuda",
    "cpus_per_pack": 2,
    "gpus_per_pack": 0.5,
    "pack_size": 2,
    "track": "sweep",
    "checkpoint_minutes": 0,
    "wait_minutes": 1,
    "save_weights": "last",
    "save_images": "none",
    "grace_seconds": 5,
    "evaluation_gib": 0.5,
    "costs": {"rounds": 1},
    "variants": [{"latents": [[10, 10, 10], [10, 10, 10, 10, 10]]}],
}
"""Keys of a space that decide which members are trained and how, and no member's numbers."""


def planned(digest: str = "d1g357", device: str = "cpu", **keys) -> PlannedCell:
    return PlannedCell(
        cell=Cell.model_validate(CELL | keys),
        label="made",
        control="rho",
        values=(0.5, 1.0),
        data_digest=digest,
        split_images=(90, 30, 20),
        device=device,
    )


def exact(cell: PlannedCell, control: str = "rho") -> float | None:
    return critical_values(cell.cell, control).get("kl_top")


def sha(value: dict) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


class TestIdentity:
    def test_it_is_the_hash_of_all_that_determines_the_numbers(self):
        """Written out: whatever changes this changes the identity of every member trained so far."""
        shared = CELL | {"data_digest": "d1g357", "device": "cpu", "numerics_version": TRAINING_VERSION}
        assert planned().cell_id == sha(shared)
        assert planned().member_id(Point(0.7, 3)) == sha(shared | {"rho": 0.7, "seed": 3})
        extended = shared | {"kl_warmup": 9, "code_digest": "c0de"}
        assert dataclasses.replace(planned(kl_warmup=9), code_digest="c0de").cell_id == sha(extended)

    def test_a_key_at_its_neutral_value_is_as_if_there_were_none(self):
        """So that a key which is added later renames nothing."""
        neutral = {name: key.neutral for name, key in keys_of(Cell).items() if key.has_neutral}
        assert set(keys_of(Cell)) == set(CELL) | set(neutral)
        assert planned(**neutral).cell_id == planned().cell_id

    @pytest.mark.parametrize("key", VARIABLE)
    def test_every_key_of_a_cell_changes_it(self, key):
        changed = planned(**{key: another(key)})
        assert changed.cell_id != planned().cell_id
        assert changed.member_id(Point(0.7, 3)) != planned().member_id(Point(0.7, 3))

    @pytest.mark.parametrize("changed", [planned(digest="other"), planned(device="cuda")])
    def test_data_and_device_change_it(self, changed):
        assert changed.cell_id != planned().cell_id
        assert changed.member_id(Point(0.7, 3)) != planned().member_id(Point(0.7, 3))

    def test_the_version_of_training_changes_it(self, monkeypatch):
        before = planned().cell_id
        monkeypatch.setattr("sweeps.plan.cells.TRAINING_VERSION", TRAINING_VERSION + 1)
        assert planned().cell_id != before

    def test_rho_and_seed_change_the_members_and_not_the_cells(self):
        ids = {planned().member_id(Point(rho, seed)) for rho in (0.7, 0.700001, 1.0) for seed in (0, 1)}
        assert len(ids) == 6

    @pytest.mark.parametrize("control", ["kl_weight", "learning_rate"])
    def test_a_member_is_the_same_whichever_key_is_swept(self, control):
        by_rho = planned(**{control: 0.02})
        swept = replace(planned(rho=0.7), cell=canonical(planned(rho=0.7).cell, control), control=control)
        assert swept.member_id(Point(0.02, 3)) == by_rho.member_id(Point(0.7, 3))
        assert swept.cell_id != by_rho.cell_id
        assert replace(swept, cell=at_value(swept.cell, control, 0.5)).cell_id == swept.cell_id
        assert replace(swept, cell=at_value(swept.cell, "rho", 0.5)).cell_id != swept.cell_id

    @pytest.mark.parametrize("key", sorted(NUMBERLESS))
    def test_no_other_key_of_a_space_changes_it(self, key):
        override = f"{key}={json.dumps(NUMBERLESS[key])}"
        before, after = load("digits"), load("digits", (override,))
        assert getattr(before, key) != getattr(after, key)
        assert after.cells() == before.cells()

    def test_every_key_of_a_space_is_one_or_the_other(self):
        fields = set(type(load("digits")).model_fields)
        assert fields == set(CellKeys.model_fields) | set(NUMBERLESS) | {"latents"}

    def test_the_pack_does_not_matter(self):
        points = [Point(0.5, 0), Point(0.6, 0), Point(0.7, 1)]
        for largest in (1, 2, 3):
            packs = pack_points(points, Packing(largest, cells=9), planned())
            ids = {point: pack.cell.member_id(point) for pack in packs for point in pack.points}
            assert ids == {point: planned().member_id(point) for point in points}

    def test_a_pack_is_its_members_in_their_order(self):
        def pack_id(*points):
            return Pack(planned(), points).pack_id

        a, b = Point(0.5, 0), Point(0.6, 0)
        assert len({pack_id(a), pack_id(b), pack_id(a, b), pack_id(b, a)}) == 4
        assert Pack(planned(steps=7), (a, b)).pack_id != pack_id(a, b)
        assert pack_id(a, b) == pack_id(Point(0.5, 0), Point(0.6, 0))


class TestPacking:
    def test_packs_partition_the_points(self):
        draw = random.Random(2)  # noqa: S311
        for _ in range(500):
            points = sorted(
                {Point(round(draw.random(), 6), draw.randrange(5)) for _ in range(draw.randint(0, 60))}
            )
            slots, largest, cells = draw.randint(1, 20), draw.randint(1, 15), draw.randint(1, 50)
            packing = Packing(largest, slots, cells)
            packs = pack_points(draw.sample(points, len(points)), packing, planned())
            case = f"{len(points)} points, {packing}"
            in_order = [point for pack in packs for point in pack.points]
            assert in_order == sorted(points, key=lambda point: (point.seed, point.value)), case
            sizes = [len(pack.points) for pack in packs]
            if points:
                assert 1 <= min(sizes) <= max(sizes) <= largest, case
                assert max(sizes) - min(sizes) <= 1, case
                wanted = min(max(1, math.ceil(2 * slots / cells)), len(points))
                least = max(wanted, math.ceil(len(points) / largest))
                assert least <= len(packs), case
                assert math.ceil(len(packs) / slots) == math.ceil(least / slots), f"{case}: no more rounds"
                if len(packs) > slots:
                    assert len(packs) % slots == 0 or len(packs) == len(points), case
                else:
                    assert len(packs) == least, case

    def test_known_answer(self):
        points = [Point(rho, seed) for rho in (0.9, 0.5) for seed in (1, 0)] + [Point(0.7, 1)]
        packs = pack_points(points, Packing(12, slots=1), planned())
        assert [pack.points for pack in packs] == [
            (Point(0.5, 0), Point(0.9, 0)),
            (Point(0.5, 1), Point(0.7, 1), Point(0.9, 1)),
        ]

    def test_a_pack_on_a_gpu_is_as_large_as_its_memory_allows(self):
        assert largest_pack(planned(device="cuda")) == LARGEST_GPU_PACK
        sizes = [largest_pack(planned(device="cuda", hidden=[width])) for width in (8000, 16_000, 20_000_000)]
        assert LARGEST_GPU_PACK > sizes[0] > sizes[1] > 1
        assert sizes[2] == 1
        for width, size in zip((8000, 16_000), sizes, strict=False):
            cell = planned(device="cuda", hidden=[width]).cell
            room = member_bytes(cell, cell.image_shape, "cuda")
            assert size * room <= GPU_PACK_BYTES < (size + 1) * room

    def test_on_a_cpu_wide_convolutions_are_not_packed_and_small_members_the_most(self):
        """Stacked convolutions take longer than one after another; narrow ones do not."""

        def largest(architecture, hidden, dataset="mnist"):
            return largest_pack(planned(architecture=architecture, hidden=hidden, dataset=dataset))

        assert largest("mlp", [200, 200]) == largest("conv", [8, 8]) == LARGEST_PACK
        assert largest("conv", [8, 16]) == largest("conv", [100]) == 1
        assert largest("mlp", [64, 64], "digits") == LARGEST_SMALL_PACK

    def test_no_points_no_packs(self):
        assert pack_points([], Packing(12, slots=4), planned()) == []

    @pytest.mark.parametrize(
        ("points", "packing", "sizes"),
        [
            (60, Packing(12, slots=2), [10] * 6),  # 5 packs of 12 would take as many rounds, of larger packs
            (60, Packing(12, slots=2, cells=3), [10] * 6),
            (15, Packing(24, slots=2, cells=3), [8, 7]),
            (15, Packing(24, slots=2), [4, 4, 3, 4]),
            (9, Packing(2, slots=8), [1] * 9),
            (50, Packing(24, slots=1), [17, 16, 17]),
        ],
    )
    def test_packs_fill_the_rounds_of_the_slots(self, points, packing, sizes):
        packs = pack_points([Point(0.5, seed) for seed in range(points)], packing, planned())
        assert [len(pack.points) for pack in packs] == sizes


class TestCost:
    def test_multiply_adds_of_a_small_cell(self):
        """q(z_1|x): 6·5 + 5·4; p(x|z_1): 2·5 of each of 3 draws, 5·6 of their mean; one sample of q(z_2|z_1):
        2·5 + 5·6; p(z_1|z_2): 3·5 of each of 3 draws, 5·4 of their mean. Backward costs twice the forward."""
        cell = planned(
            dataset="gaussian",
            data_variance=[1.0] * 6,
            likelihood="gaussian",
            observation_variance=1.0,
            latents=[2, 3],
            hidden=[5],
            batch_size=7,
            ou_samples=3,
            smoothed_networks=["generative", "likelihood"],
        )
        forward = (6 * 5 + 5 * 4) + (3 * 2 * 5 + 5 * 6) + (2 * 5 + 5 * 6) + (3 * 3 * 5 + 5 * 4)
        assert cell.multiply_adds() == 3 * 7 * forward

    def test_pseudo_inputs_are_evaluated_once_a_step_whatever_the_batch(self):
        """q(z_2|x): 6·5 + 5·6 for 7 images and 11 pseudo-inputs. For images alone q(z_1|x, z_2): 6·5 + 3·5,
        5·5 of both, and 5·4; p(z_1|z_2): 3·5 + 5·4; p(x|z_1, z_2): 2·5 + 3·5, 5·5 of both, and 5·6."""
        cell = planned(
            dataset="gaussian",
            data_variance=[1.0] * 6,
            likelihood="gaussian",
            observation_variance=1.0,
            system="vampprior",
            smoothed_networks=[],
            pseudo_inputs=11,
            latents=[2, 3],
            hidden=[5],
            batch_size=7,
        )
        upper = (7 + 11) * (6 * 5 + 5 * 6)
        others = 7 * ((6 * 5 + 3 * 5 + 5 * 5 + 5 * 4) + (3 * 5 + 5 * 4) + (2 * 5 + 3 * 5 + 5 * 5 + 5 * 6))
        assert cell.multiply_adds() == 3 * (upper + others)

    @pytest.mark.parametrize(("latents", "draws"), [(10**9, 5), (2, 10**9)])
    def test_a_huge_model_and_many_draws_are_counted_too(self, latents, draws):
        """64·10 + 10·2n of n latents for q, n·10 of each draw and 10·64 of their mean for p(x|z_1)."""
        keys = {"latents": [latents], "hidden": [10], "batch_size": 3, "ou_samples": draws}
        forward = (64 * 10 + 10 * 2 * latents) + (draws * latents * 10 + 10 * 64)
        assert planned(**keys, smoothed_networks=["likelihood"]).multiply_adds() == 3 * 3 * forward

    @pytest.mark.parametrize("count", ["multiply_adds", "member_bytes"])
    def test_a_model_that_does_not_compute_is_refused(self, monkeypatch, count):
        """Its code may be a user's own."""

        def broken(*arguments):
            raise KeyError("boom")

        monkeypatch.setattr(f"ouvae.training.counts.{count}", broken)
        cell = planned(device="cuda" if count == "member_bytes" else "cpu")
        with pytest.raises(
            SweepError, match=r"made cannot be computed: KeyError: 'boom' \(test_cells.py, line \d+\); mend"
        ):
            largest_pack(cell)

    def test_it_grows_with_everything_that_costs(self):
        base = planned().multiply_adds()
        bigger = [{"batch_size": 200}, {"hidden": [64, 65]}, {"latents": [10, 10, 10]}, {"ou_samples": 6}]
        costs = [planned(**keys).multiply_adds() for keys in bigger]
        assert all(cost > base for cost in costs)
        assert planned(dataset="mnist").multiply_adds() > base


class TestExactThreshold:
    CONTROL = {  # noqa: RUF012
        "dataset": "gaussian",
        "data_variance": [0.8],
        "architecture": "affine",
        "hidden": [],
        "latents": [1],
        "likelihood": "gaussian",
        "observation_variance": 1.0,
        "smoothed_networks": ["likelihood"],
    }

    def test_of_the_linear_control(self):
        """g(rho_c, K) = 0.8 with K = 5."""
        rho = exact(planned(**self.CONTROL))
        assert rho == pytest.approx(math.sqrt((0.8 - 0.2) / (1 - 0.2)))
        assert exact(planned(**self.CONTROL, smoothing="shrink")) == rho

    def test_of_a_weighed_kl(self):
        """g(rho_c, K) = 0.8 / 1.25 with K = 5."""
        for weights in (
            {"top_kl_weight": 1.25},
            {"kl_weight": 1.25},
            {"kl_weight": 2.5, "top_kl_weight": 0.5},
        ):
            rho = exact(planned(**self.CONTROL, **weights))
            assert rho == pytest.approx(math.sqrt((0.64 - 0.2) / (1 - 0.2)))
        assert exact(planned(**self.CONTROL, kl_weight=0)) is None

    @pytest.mark.parametrize("smoothing", ["posterior", "shrink", "ambient"])
    @pytest.mark.parametrize("control", ["kl_weight", "top_kl_weight", "observation_variance"])
    def test_of_other_control_parameters(self, smoothing, control):
        """At the critical rho, the other critical values are those of the cell."""
        keys = {"smoothing": smoothing, "kl_weight": 1.2, "top_kl_weight": 0.9}
        keys |= {"data_variance": [1.3 if smoothing == "ambient" else 0.8], "observation_variance": 1.1}
        rho = exact(planned(**self.CONTROL | keys))
        at_rho = planned(**self.CONTROL | keys | {"rho": rho})
        assert exact(at_rho, control) == pytest.approx(getattr(at_rho.cell, control))

    def test_without_smoothing_the_weight_is_the_ratio_of_the_variances(self):
        cell = planned(**self.CONTROL | {"smoothed_networks": [], "observation_variance": 0.5})
        assert exact(cell, "kl_weight") == pytest.approx(0.8 / 0.5)
        assert exact(cell) is None

    def test_the_spectrum_of_real_data_stands_for_the_variances_of_a_linear_model(self):
        data = load_data("digits_standardized")
        keys = {"dataset": data.name, "likelihood": "gaussian", "observation_variance": 2.0, "rho": 0.9}
        keys |= {"smoothed_networks": ["likelihood"], "latents": [2]}
        affine, mlp = {"architecture": "affine", "hidden": []}, {"hidden": [4]}
        swept = [
            SweptCell(Cell.model_validate(keys | networks), "kl_weight", (1.0,)) for networks in (affine, mlp)
        ]
        linear, other = plan_cells(swept, lambda cell: data, "cpu")
        largest = np.linalg.eigvalsh(np.cov(data.train.T.astype(float), bias=True))[:-3:-1]
        known = critical_values(linear.cell, "kl_weight", linear.spectrum)
        expected = largest / (2 * (0.81 + 0.19 / 5))
        assert [known[f"kl_top_unit_{k}"] for k in (1, 2)] == pytest.approx(expected)
        assert other.spectrum is None

    def test_it_falls_with_less_variance(self):
        values = [exact(planned(**self.CONTROL | {"data_variance": [v]})) for v in (0.4, 0.6, 0.8)]
        assert all(low < high for low, high in pairwise(values))

    @pytest.mark.parametrize(
        "keys",
        [
            {"latents": [1, 1]},
            {"architecture": "mlp", "hidden": [4]},
            {"smoothed_networks": ["inference", "likelihood"]},
            {"objective": "iwae", "importance_samples": 2},
            {"objective": "free_bits", "free_bits_nats": 0.1},
            {"weight_decay": 0.1},
        ],
    )
    def test_none_where_no_closed_form_is_known(self, keys):
        assert exact(planned(**self.CONTROL | keys)) is None
        assert exact(planned()) is None
