"""The schedule, with a synthetic KL(rho) in place of training and no Ray.

A sweep may stop anywhere and goes on with the same packs to the same tables.
"""

import random
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pytest

from search_spaces import Space
from sweeps import SweepError
from sweeps.plan.cells import Point
from sweeps.plan.packs import Pack
from sweeps.retries import ATTEMPTS
from sweeps.worker.failures import Failure
from tests.sweeps.conftest import fail, finish, opened, schedule_of, write_tables

RHO_C = {(4, 4): {0: 0.734, 1: 0.861, 2: 0.655}, (8, 8): {0: 0.612, 1: 0.58, 2: 0.691}}
REFINED = {"search": "refine", "rho": [0.5, 0.6, 0.7, 0.8, 0.9, 1.0], "latents": [[4, 4], [8, 8]]}
REFINED |= {"tolerance": 0.02}
LOCATED = {"search": "locate", "rho": [0.4, 0.55, 0.7, 0.85, 1.0], "tolerance": 0.04}


def curve_of(pack: Pack) -> Callable[[Point], float | None]:
    """A ramp through the threshold of each cell and seed; one member diverges."""
    thresholds = RHO_C[tuple(pack.cell.cell.latents)]

    def critical_value(seed: int) -> float:
        return thresholds[seed] if seed in thresholds else thresholds[0] + random.Random(seed).gauss(0, 0.05)  # noqa: S311

    def kl_top(point: Point) -> float | None:
        if point == Point(0.6, 1):
            return None
        return max(0.0, 0.1 + 2 * (critical_value(point.seed) - point.value))

    return kl_top


@dataclass
class Run:
    """What one run of a sweep did."""

    packs: list[str] = field(default_factory=list)
    members: list[str] = field(default_factory=list)
    reused: int = 0
    failures: int = 0
    done: bool = False
    tables: tuple[pa.Table, pa.Table, pa.Table] | None = None

    def comparable(self) -> list[list[dict]]:
        """The tables without the time at which they were made."""
        members, *others = self.tables
        return [table.to_pylist() for table in (members.drop_columns(["finished_at"]), *others)]


@pytest.fixture
def sweep(plan_cells, result_of):
    """Return a function that runs a space in a directory.

    `stop_after` packs are finished it is killed; packs end in an order drawn from `order`; packs that hold
    a point of `failing` cannot be trained.
    """

    def run(
        path: Path,
        space: Space,
        slots: int = 2,
        stop_after: int | None = None,
        order: int = 0,
        failing: Collection[Point] = (),
    ) -> Run:
        draw, did, training = random.Random(order), Run(), []  # noqa: S311
        with opened(path, space) as ledger:

            def note(fragment):
                members, history = fragment.members.to_pylist(), fragment.history.to_pylist()
                trained = [row["member_id"] for row in members if row["status"] != "failed"]
                assert {row["member_id"] for row in history} == set(trained)
                did.packs += [members[0]["pack_id"]] if trained else []
                did.members += trained

            schedule = schedule_of(space, slots, ledger)
            did.reused = schedule.members_reused
            while not schedule.done and len(did.packs) != stop_after:
                while len(training) < slots and (pack := schedule.next_pack()) is not None:
                    training.append(pack)
                assert training, "there is neither a pack to train nor an end"
                pack = training.pop(draw.randrange(len(training)))
                if set(failing) & set(pack.points):
                    fail(schedule, ledger, pack, Failure("error", "no reason"))
                else:
                    note(finish(schedule, ledger, pack, result_of(pack, curve_of(pack))))
            did.done, did.failures = schedule.done, len(schedule.failures)
            assert schedule.members_trained == len(did.members)
            if schedule.done:
                assert schedule.next_pack() is None
                assert not training
                assert all(state.members_left == 0 for state in schedule.cells)
            if ledger.members:
                did.tables = write_tables(ledger, space)
        return did

    return run


def by_cell(run: Run) -> dict[tuple[int, ...], dict]:
    """The thresholds of the top-layer KL."""
    rows = run.tables[2].to_pylist()
    return {tuple(row["latents"]): row for row in rows if row["order_parameter"] == "kl_top"}


class TestToTheEnd:
    def test_a_refined_sweep_finds_every_seeds_threshold(self, tmp_path, make_space, sweep):
        run = sweep(tmp_path, make_space(**REFINED))
        assert run.done
        assert run.reused == 0
        assert len(set(run.members)) == len(run.members) == run.tables[0].num_rows
        cells = by_cell(run)
        assert set(cells) == set(RHO_C)
        for latents, row in cells.items():
            assert row["status"] == "transition"
            for seed in row["seeds"]:
                critical_value = RHO_C[latents][seed["seed"]]
                assert seed["low"] <= critical_value <= seed["high"]
                assert seed["high"] - seed["low"] <= 0.02 + 1e-9
        assert cells[4, 4]["n_diverged"] == 1

    def test_the_search_observes_the_order_parameter_that_is_targeted(self, tmp_path, make_space, result_of):
        space, metric = make_space(rho=[0.5, 1.0], seeds=1, follow="information_top"), "information_top_nats"
        with opened(tmp_path / "run", space) as ledger:
            schedule = schedule_of(space, 1, ledger)
            while pack := schedule.next_pack():
                result = result_of(pack, curve_of(pack))
                for outcome in result.outcomes:
                    outcome.history[-1][metric] = 7.0
                finish(schedule, ledger, pack, result)
        (cell,) = schedule.cells
        assert set(cell.search.answers.values()) == {7.0}

    @pytest.mark.parametrize("order", range(1, 6))
    def test_the_order_in_which_packs_end_changes_nothing(self, tmp_path, make_space, sweep, order):
        space = make_space(**REFINED)
        expected = sweep(tmp_path / "one", space)
        run = sweep(tmp_path / "other", space, order=order)
        assert run.packs != expected.packs
        assert sorted(run.packs) == sorted(expected.packs)
        assert run.comparable() == expected.comparable()

    def test_packs_hold_at_most_pack_size_members(self, tmp_path, make_space, sweep):
        run = sweep(tmp_path, make_space(seeds=3, pack_size=2))
        assert {row["pack_members"] for row in run.tables[0].to_pylist()} <= {1, 2}

    @pytest.mark.parametrize(("slots", "costly_first"), [(1, False), (2, True)])
    def test_early_rounds_go_first_and_costly_cells_where_there_are_several_slots(
        self, tmp_path, make_space, result_of, slots, costly_first
    ):
        space = make_space(**REFINED)
        with opened(tmp_path, space) as ledger:
            schedule = schedule_of(space, slots, ledger)
            seen = []
            while (pack := schedule.next_pack()) is not None:
                state = next(state for state in schedule.cells if pack.pack_id in state.training)
                seen.append((state.batches, pack.cell.cell.latents))
                finish(schedule, ledger, pack, result_of(pack, curve_of(pack)))
        assert [number for number, _ in seen] == sorted(number for number, _ in seen)
        first_round = [latents for number, latents in seen if number == 1]
        assert first_round == sorted(first_round, reverse=costly_first), "4,4 stands first in the space"
        assert set(first_round) == {(4, 4), (8, 8)}

    def test_of_several_slots_the_longest_pack_goes_first(self, tmp_path, make_space):
        space = make_space(variants=[{"steps": 40}, {"steps": 400}, {"steps": 90}])
        with opened(tmp_path, space) as ledger:
            schedule = schedule_of(space, 2, ledger)
            packs = iter(schedule.next_pack, None)
            first_rounds = dict.fromkeys(pack.cell.cell.steps for pack in packs)
            assert list(first_rounds) == [400, 90, 40]


class TestResume:
    def test_from_any_prefix_with_the_same_packs_to_the_same_tables(self, tmp_path, make_space, sweep):
        space = make_space(**REFINED)
        expected = sweep(tmp_path / "whole", space)
        assert len(expected.packs) >= 12, "kills fall before, between and within rounds"
        for finished in {*range(0, len(expected.packs), 2), len(expected.packs)}:
            path = tmp_path / f"{finished}"
            first = sweep(path, space, stop_after=finished, order=finished)
            second = sweep(path, space, order=100 + finished)
            assert len(first.packs) == finished
            assert second.reused == len(first.members)
            assert sorted(first.packs + second.packs) == sorted(expected.packs)
            assert second.done
            assert second.comparable() == expected.comparable()

    def test_after_many_interruptions(self, tmp_path, make_space, sweep):
        space = make_space(**REFINED)
        expected = sweep(tmp_path / "whole", space)
        trained, run = [], Run()
        while not run.done:
            run = sweep(tmp_path / "parts", space, stop_after=1, order=len(trained))
            trained += run.packs
        assert sorted(trained) == sorted(expected.packs)
        assert run.comparable() == expected.comparable()

    def test_a_finished_sweep_trains_nothing(self, tmp_path, make_space, sweep):
        first = sweep(tmp_path, make_space(**REFINED))
        again = sweep(tmp_path, make_space(**REFINED))
        assert again.packs == []
        assert again.reused == len(first.members)
        assert again.comparable() == first.comparable()

    def test_an_interrupted_batch_keeps_its_packs_on_a_cluster_of_another_size(
        self, tmp_path, make_space, sweep
    ):
        """Numbers of a member depend on its pack, in their last digits."""
        space = make_space(rho=[0.1, 0.3, 0.5, 0.7, 0.9], seeds=4)
        for slots in (2, 3):
            expected = sweep(tmp_path / f"{slots}", space, slots=slots)
            for finished in range(1, len(expected.packs)):
                path = tmp_path / f"{slots}-{finished}"
                first = sweep(path, space, slots=slots, stop_after=finished, order=finished)
                second = sweep(path, space, slots=slots + 2)
                assert sorted(first.packs + second.packs) == sorted(expected.packs)

    def test_on_a_cluster_of_another_size(self, tmp_path, make_space, sweep):
        """Packs are cut otherwise, members are the same."""
        space = make_space(**REFINED)
        expected = sweep(tmp_path / "whole", space)
        first = sweep(tmp_path / "parts", space, slots=2, stop_after=2)
        second = sweep(tmp_path / "parts", space, slots=7)
        assert sorted(first.members + second.members) == sorted(expected.members)
        ids = {
            name: set(run.tables[0]["member_id"].to_pylist())
            for name, run in {"whole": expected, "parts": second}.items()
        }
        assert ids["whole"] == ids["parts"]


@pytest.fixture
def scheduled(tmp_path, make_space, plan_cells, result_of):
    """Open a schedule in which one pack of four members is left."""
    space = make_space(seeds=2, rho=[0.5, 0.6, 0.7, 0.8])
    with opened(tmp_path / "scheduled", space) as ledger:
        schedule = schedule_of(space, 1, ledger)
        pack = schedule.next_pack()
        finish(schedule, ledger, pack, result_of(pack, lambda point: 0.5))
        yield schedule, ledger


class TestFailure:
    def test_a_pack_that_cannot_be_trained_is_data_and_its_cell_goes_on(self, tmp_path, make_space, sweep):
        space = make_space(**REFINED)
        expected = sweep(tmp_path / "whole", space)
        # The bracket of 0.734 is 0.7 to 0.8: only the cell 4,4 ever asks for 0.775.
        run = sweep(tmp_path / "parts", space, failing=[Point(0.775, 0)])
        assert run.failures == 1
        assert run.done
        assert by_cell(run)[8, 8] == by_cell(expected)[8, 8]
        assert by_cell(run)[4, 4]["status"] == "transition"
        failed = [row for row in run.tables[0].to_pylist() if row["status"] == "failed"]
        assert by_cell(run)[4, 4]["n_failed"] == len(failed) > 0
        assert (0.775, 0) in {(row["value"], row["seed"]) for row in failed}
        assert {(row["failure"], row["kl_top_nats"]) for row in failed} == {("no reason", None)}

        mended = sweep(tmp_path / "parts", space)
        assert mended.failures == 0
        assert {row["member_id"] for row in failed} <= set(mended.members)
        assert {row["status"] for row in mended.tables[0].to_pylist()} == {"completed", "diverged"}
        assert set(expected.tables[0]["member_id"].to_pylist()) <= set(
            mended.tables[0]["member_id"].to_pylist()
        )
        with opened(tmp_path / "parts", space) as ledger:
            assert ledger.failed == {}
        assert list(tmp_path.rglob("*.failed.parquet")) == []

    def test_failed_members_that_nothing_tries_again_are_forgotten(self, tmp_path, make_space):
        """Of a cell with another code, of a cell that is gone, and of points that are not asked for."""
        space = make_space(seeds=1, pack_size=2)
        with opened(tmp_path, space) as ledger:
            schedule = schedule_of(space, 1, ledger)
            for pack in iter(schedule.next_pack, None):
                while pack.pack_id in schedule.in_training:
                    schedule.progressed(pack.pack_id, 1)
                    fail(schedule, ledger, schedule.next_pack() or pack, Failure("error", "odd"))
            assert sorted(row["rho"] for row in ledger.failed.values()) == [0.5, 0.75, 1.0]
        fewer = make_space(seeds=1, pack_size=2, rho=[0.75, 0.9])
        with opened(tmp_path, fewer) as ledger:
            assert len(ledger.failed) == 3
            ledger.keep_failed(schedule_of(fewer, 1, ledger).asks_for)
            assert [row["rho"] for row in ledger.failed.values()] == [0.75]
        with opened(tmp_path, fewer) as again:
            assert [row["rho"] for row in again.failed.values()] == [0.75]
            again.keep_failed(lambda row: row["cell_id"] == "another")
            assert again.failed == {}
        assert list(tmp_path.rglob("*.failed.parquet")) == []

    def test_all_other_members_are_trained(self, tmp_path, make_space, sweep):
        run = sweep(tmp_path, make_space(seeds=3, pack_size=1), failing=[Point(0.5, 0)])
        statuses = Counter(row["status"] for row in run.tables[0].to_pylist())
        assert statuses == {"completed": 8, "failed": 1}
        assert run.done

    def test_an_error_is_tried_once_more(self, scheduled):
        schedule, ledger = scheduled
        for _ in range(ATTEMPTS["error"] - 1):
            pack = schedule.next_pack()
            assert "tried again" in fail(schedule, ledger, pack, Failure("error", "odd"))
            assert not schedule.done
        assert "given up" in fail(schedule, ledger, schedule.next_pack(), Failure("error", "odd"))
        assert schedule.done
        assert schedule.next_pack() is None
        assert {row["failure"] for row in ledger.failed.values()} == {"odd"}

    def test_out_of_memory_is_tried_in_halves_down_to_one_member(self, scheduled):
        schedule, ledger = scheduled
        sizes = []
        while (pack := schedule.next_pack()) is not None:
            sizes.append(len(pack.points))
            ledger.run.checkpoint(pack.pack_id).touch()
            fail(schedule, ledger, pack, Failure("memory", "too large"))
            held = ledger.run.checkpoint(pack.pack_id)
            assert len(pack.points) == 1 or not held.exists(), "a state that no pack will go on from"
        assert sizes[:3] == [4, 2, 1]
        assert Counter(sizes) == {4: 1, 2: 2, 1: 4 * ATTEMPTS["memory"]}
        assert len(schedule.failures) == len(ledger.failed) == 4
        assert schedule.done

    def test_a_pack_that_gets_further_outlives_any_number_of_workers(self, scheduled, result_of):
        schedule, ledger = scheduled
        for steps in range(1, 3 * ATTEMPTS["lost"]):
            pack = schedule.next_pack()
            schedule.progressed(pack.pack_id, steps)
            assert "tried again" in fail(schedule, ledger, pack, Failure("lost", "died"))
        for _ in range(ATTEMPTS["lost"] - 1):
            pack = schedule.next_pack()
            schedule.progressed(pack.pack_id, 1)
            fail(schedule, ledger, pack, Failure("lost", "died"))
        assert schedule.done, "without progress there is an end"
        assert len(schedule.failures) == 1

    def test_one_cause_that_hits_all_first_packs_ends_the_sweep_and_is_said_once(
        self, tmp_path, make_space, plan_cells
    ):
        space = make_space(seeds=4, pack_size=1, latents=[[4, 4], [8, 8]])
        with opened(tmp_path, space) as ledger:
            schedule = schedule_of(space, 2, ledger)
            first, second = schedule.next_pack(), schedule.next_pack()
            assert "no GPU; tried again" in fail(schedule, ledger, first, Failure("error", "no GPU"))
            other = schedule.next_pack()
            assert other.cell != first.cell, "a cell that fails goes last"
            assert fail(schedule, ledger, second, Failure("error", "no GPU")) == ""
            with pytest.raises(SweepError, match=r"all fail in the same way: no GPU; mend that and run the"):
                fail(schedule, ledger, other, Failure("error", "no GPU"))
            assert ledger.failed == {}
            assert schedule.failures == []

    def test_a_point_that_fails_does_not_keep_its_cell_from_training(self, tmp_path, make_space, sweep):
        """With a single slot it is the first that is trained."""
        run = sweep(tmp_path, make_space(seeds=1, pack_size=1), slots=1, failing=[Point(0.5, 0)])
        assert run.done
        assert run.failures == 1

    def test_a_pack_that_is_handed_back_is_not_charged(self, scheduled, result_of):
        schedule, ledger = scheduled
        for _ in range(20):
            schedule.returned(schedule.next_pack().pack_id)
        pack = schedule.next_pack()
        finish(schedule, ledger, pack, result_of(pack, lambda point: 0.5))
        assert schedule.done
        assert not schedule.failures


def test_steps_of_a_resumed_pack_count_once(scheduled):
    """A worker that takes a pack over repeats what came after the saved state."""
    schedule, _ = scheduled
    pack, before = schedule.next_pack(), schedule.work_done
    a_step = len(pack.points) * pack.cell.multiply_adds()
    schedule.progressed(pack.pack_id, 10)
    schedule.return_all()
    assert not schedule.in_training
    assert schedule.next_pack() == pack
    assert schedule.in_training[pack.pack_id].steps is None
    for steps, counted in ((0, 10), (6, 10), (12, 12)):
        schedule.progressed(pack.pack_id, steps)
        assert schedule.work_done - before == counted * a_step
        assert schedule.cells[0].work_left == (pack.cell.cell.steps - steps) * a_step


class TestExtension:
    @pytest.mark.parametrize(
        "more",
        [
            {"seeds": 3},
            {"latents": [[4, 4], [8, 8]]},
            {"rho": [0.5, 0.55, 0.6, 0.75, 1.0]},
            {"seeds": [2, 1, 0], "latents": [[8, 8], [4, 4]], "rho": [0.75, 1.0, 0.5, 0.9]},
        ],
    )
    def test_a_larger_grid_trains_what_is_new_alone(self, tmp_path, make_space, sweep, more):
        first = sweep(tmp_path / "grown", make_space())
        grown = sweep(tmp_path / "grown", make_space(**more))
        direct = sweep(tmp_path / "direct", make_space(**more))
        assert grown.reused == len(first.members)
        assert not set(first.members) & set(grown.members)
        assert set(first.members) | set(grown.members) == set(direct.members)
        assert by_cell(grown) == by_cell(direct)
        assert self.metrics(grown) == self.metrics(direct)

    def test_a_grid_can_be_refined_later(self, tmp_path, make_space, sweep):
        coarse = REFINED | {"search": "grid"}
        first = sweep(tmp_path / "grown", make_space(**coarse))
        grown = sweep(tmp_path / "grown", make_space(**REFINED))
        direct = sweep(tmp_path / "direct", make_space(**REFINED))
        assert grown.reused == len(first.members) == 24
        assert sorted(first.members + grown.members) == sorted(direct.members)
        assert by_cell(grown) == by_cell(direct)

    @pytest.mark.parametrize(
        "more", [{"latents": [[4, 4], [8, 8]]}, {"tolerance": 0.03}, {"seeds": 3}, {"max_members": 300}]
    )
    def test_a_located_cell_keeps_what_it_has_trained(self, tmp_path, make_space, sweep, more):
        first = sweep(tmp_path, make_space(**LOCATED))
        grown = sweep(tmp_path, make_space(**LOCATED | more))
        assert not set(first.members) & set(grown.members)
        own = by_cell(grown)[4, 4]["n_members"]
        if "latents" in more or "max_members" in more:
            assert own == len(first.members), "it is located, whoever comes beside it"
        if "seeds" in more:
            assert own < len(first.members) + 5 + 2 * 12, "one curve, a batch filled up, and one more at most"
        assert sweep(tmp_path, make_space(**LOCATED | more)).members == []

    def test_a_smaller_space_keeps_what_is_there(self, tmp_path, make_space, sweep):
        first = sweep(tmp_path, make_space(seeds=3))
        again = sweep(tmp_path, make_space(seeds=1))
        assert again.packs == []
        assert again.comparable() == first.comparable()

    @staticmethod
    def metrics(run: Run) -> dict[str, tuple]:
        rows = run.tables[0].to_pylist()
        return {
            row["member_id"]: (row["rho"], row["seed"], row["status"], row["kl_top_nats"]) for row in rows
        }
