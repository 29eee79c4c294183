"""What the tests of the orchestrator share: small spaces, and packs that are "trained" at once."""

from collections.abc import Callable, Sequence

import pytest

from ouvae.metrics import Metrics
from search_spaces import Space, load
from sweeps.plan import Pack, PlannedCell, Point
from sweeps.records import PackReport

STEPS = (0, 10, 20)


@pytest.fixture
def make_space() -> Callable[..., Space]:
    """Return a maker of small spaces on digits: keys and values of the space."""

    def make(**keys: object) -> Space:
        values = {"name": "made", "latents": [[4, 4]], "rho": [0.5, 0.75, 1.0], "seeds": 2, "search": "grid"}
        values |= {"steps": STEPS[-1], "eval_every": 10} | keys
        return load("digits", [f"{key}={value}" for key, value in values.items()])

    return make


@pytest.fixture
def plan_cells() -> Callable[..., list[PlannedCell]]:
    """Return the planner of a space's cells, on made-up data."""

    def plan(space: Space, data_digest: str = "d1g357", device: str = "cpu") -> list[PlannedCell]:
        return [PlannedCell(cell, data_digest, device) for cell in space.cells()]

    return plan


@pytest.fixture
def report_of() -> Callable[..., PackReport]:
    """Return the trainer of packs: a report as a worker's, from a synthetic KL(point); None diverges."""

    def report(
        pack: Pack, kl_top: Callable[[Point], float | None], steps: Sequence[int] = STEPS
    ) -> PackReport:
        depth = pack.cell.cell.depth

        def evaluation(step: int, kl: float) -> dict[str, object]:
            metrics = Metrics(
                step=step,
                elbo_nats=-20.0,
                objective_nats=-19.0,
                reconstruction_nats=-15.0,
                kl_nats=[5.0] * (depth - 1) + [kl],
                kl_top_nats=kl,
                active_units=[4] * depth,
            )
            return dict(vars(metrics))

        outcomes = []
        for point in pack.points:
            kl = kl_top(point)
            seen = steps[:2] if kl is None else steps
            history = [evaluation(step, (kl or 0.0) * step / steps[-1]) for step in seen]
            outcomes.append({"history": history, "diverged_at_step": 15 if kl is None else None})
        return {
            "outcomes": outcomes,
            "seconds": 6.0,
            "torch_version": "2.13.0",
            "python_version": "3.11.7",
        }

    return report
