"""Made tables: members and histories of cells with a known KL(rho)."""

import datetime
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import yaml

from analysis.statistics.rule import Rules
from analysis.tables.files import table_of, write_table
from analysis.tables.schema import COSTS, HISTORY, MEMBERS
from ouvae.declared import METRICS, TEST_METRICS, Cell

RHO = tuple(np.linspace(0.5, 1.0, 11).tolist())
RULE = Rules({"kl_top": 0.1}, 0.95)
SPACE = "name: made\nactive_from: {kl_top: 0.1}\nconfidence: 0.95\n"
FINISHED = datetime.datetime(2024, 5, 17, 12, 30, tzinfo=datetime.UTC)


def linear_onset(rho: float, critical_value: float, slope: float = 10.0) -> float:
    """Top-layer KL in nats that is zero above the critical value and rises linearly below it."""
    return max(0.0, slope * (critical_value - rho))


def member_row(latents: Sequence[int], seed: int, rho: float, kl_top: float | None) -> dict:
    """One plausible member; `kl_top` None makes it a diverged one."""
    label = ",".join(map(str, latents))
    done = kl_top is not None
    kl = [*(9.0 - layer for layer in range(len(latents) - 1)), kl_top] if done else None
    return {
        "member_id": f"{label}-{seed}-{rho!r}",
        "space": "made",
        "cell_id": f"cell-{label}",
        "cell": f"digits mlp {label}",
        "data_digest": "0f3c",
        "train_images": 1297,
        "validation_images": 250,
        "test_images": 250,
        "code_digest": None,
        **Cell(dataset="digits", latents=latents).model_dump(mode="json"),
        "depth": len(latents),
        "rho": rho,
        "control": "rho",
        "value": rho,
        "seed": seed,
        "device": "cpu",
        "critical_exact": None,
        "critical_exact_of": None,
        "status": "completed" if done else "diverged",
        "diverged_at_step": None if done else 120,
        "failure": None,
        **dict.fromkeys(metric.name for metric in (*METRICS, *TEST_METRICS)),
        "kl_top_nats": kl_top,
        "kl_nats": kl,
        "elbo_nats": -22.4 if done else None,
        "objective_nats": -22.0 if done else None,
        "reconstruction_nats": -21.7 if done else None,
        "active_units": [4] * len(latents) if done else None,
        "parameters": 12_345,
        "pixels": 64,
        "seconds": 3.5,
        "pack_id": f"{label}-{seed}",
        "pack_members": 11,
        "finished_at": FINISHED,
        "numerics_version": 1,
        "project_version": "0.1.0",
        "torch_version": "2.13.0",
        "python_version": "3.11.7",
        "processor": "a CPU",
        "cpu_features": "AVX2",
        "library_versions": "NumPy 2",
        "commit": "unknown",
    }


def panels(chart) -> list[dict]:
    """Return the panels of a figure, row by row."""
    return [panel for row in chart.spec["vconcat"][0]["vconcat"] for panel in row["hconcat"]]


def titles_of(chart) -> list:
    """Return the titles of the panels of a figure that have one."""
    return [panel["title"]["text"] for panel in panels(chart) if "title" in panel]


def legend(chart) -> list[str]:
    """Return the texts of the legend below a figure."""
    return [part["mark"]["text"] for part in chart.spec["vconcat"][1]["layer"] if "text" in part["mark"]]


UNKNOWN = (
    *(metric.name for metric in (*METRICS, *TEST_METRICS)),
    "diverged_at_step", "parameters", "torch_version", "python_version", "processor", "cpu_features",
    "library_versions",
)  # fmt: skip
"""What nobody knows of a failed member."""


def failed_row(row: dict) -> dict:
    """The row of a member like another one, had it failed."""
    failure = {"status": "failed", "failure": "OutOfMemoryError: CUDA out of memory", "seconds": 0.0}
    return row | dict.fromkeys(UNKNOWN) | failure


def of_kl_weight(members: pa.Table) -> pa.Table:
    """Return members of a rho sweep as members of a sweep of `kl_weight`, at the same values."""
    rows = [
        row | {"member_id": f"{row['member_id']} beta", "control": "kl_weight", "kl_weight": row["rho"]}
        for row in members.to_pylist()
    ]
    return table_of([row | {"rho": 1.0} for row in rows], MEMBERS)


@pytest.fixture
def make_members() -> Callable[..., pa.Table]:
    """Return a maker of members tables.

    `cells` maps latent sizes to the critical value of each seed (seeds 0, 1, ...); `diverged` and `failed`
    hold (latents, seed, rho) of members to mark so; further arguments replace columns.
    """

    def make(
        cells: Mapping[tuple[int, ...], Sequence[float]],
        rho: Sequence[float] = RHO,
        slope: float = 10.0,
        diverged: Sequence[tuple[tuple[int, ...], int, float]] = (),
        failed: Sequence[tuple[tuple[int, ...], int, float]] = (),
        **columns: object,
    ) -> pa.Table:
        rows = []
        for latents, rho_cs in cells.items():
            for seed, critical_value in enumerate(rho_cs):
                for value in rho:
                    lost = (latents, seed, value) in diverged
                    kl = None if lost else linear_onset(value, critical_value, slope)
                    row = member_row(latents, seed, value, kl) | columns
                    rows.append(failed_row(row) if (latents, seed, value) in failed else row)
        return table_of(rows, MEMBERS)

    return make


@pytest.fixture
def make_history() -> Callable[..., pa.Table]:
    """Return a maker of the history of a members table: the KL grows to its final value."""

    def make(members: pa.Table, evaluations: int = 6) -> pa.Table:
        rows = []
        for member in members.to_pylist():
            for step in range(0, 500 * evaluations + 1, 500):
                final = member["kl_top_nats"]
                if final is None and step > 0:
                    break
                growth = 1 - np.exp(-step / 800)
                kl = None if final is None else final * growth
                rows.append(
                    {name: member[name] for name in ("member_id", "cell_id", "value", "seed")}
                    | dict.fromkeys(metric.name for metric in METRICS)
                    | {
                        "step": step,
                        "kl_top_nats": kl,
                        "kl_nats": None if kl is None else [9.0 * growth, kl],
                        "elbo_nats": -60.0 + 38 * growth,
                        "objective_nats": -59.0 + 38 * growth,
                        "reconstruction_nats": None,
                        "active_units": [4, 4],
                    }
                )
        return pa.Table.from_pylist(rows, schema=HISTORY)

    return make


@pytest.fixture
def make_run(tmp_path: Path, make_history) -> Callable[..., Path]:
    """Return a writer of the folder of a run, by its name, from its members and more keys of its space."""

    def make(members: pa.Table, name: str = "run", **keys: object) -> Path:
        folder = tmp_path / name
        write_table(members, folder / "members.parquet")
        write_table(make_history(members), folder / "history.parquet")
        (folder / "space.yaml").write_text(SPACE + yaml.safe_dump(keys) * bool(keys))
        return folder

    return make


@pytest.fixture
def made_run(make_run, make_members) -> Path:
    """Return a run folder with the members and history of two cells, one member diverged."""
    cells = {(8, 8): [0.88, 0.84, 0.91], (16, 16): [0.73, 0.76, 0.70]}
    return make_run(make_members(cells, diverged=[((16, 16), 1, RHO[1])]))


@pytest.fixture
def paper_member() -> Callable[..., dict]:
    """Return a maker of members of the paper's spaces, measured on the test split.

    `active` are active units top to bottom, as the paper lists them.
    """

    def make(space: str, latents: Sequence[int], active: Sequence[int], seed: int = 0, **columns) -> dict:
        kl_top = columns.pop("kl_top", 1.0)
        row = member_row(latents, seed, columns.get("rho", 1.0), kl_top)
        own = {
            "space": space,
            "dataset": "mnist_static",
            "bound_samples": 100,
            "bound_images": 500,
            "selected_step": 3000,
            "test_bound_nats": -90.0,
            "test_elbo_nats": -92.0,
            "test_kl_nats": row["kl_nats"],
            "test_kl_top_nats": kl_top,
            "test_active_units": list(reversed(active)),
        }
        row |= own | columns
        row["value"] = row["rho"]
        told = "dataset", "system", "objective", "architecture", "kl_warmup", "latents", "pseudo_inputs"
        told += "smoothed_networks", "activation", "initialisation", "smoothing", "normalisation"
        kind = [row[key] for key in told]
        row["cell_id"] = columns.get("cell_id", repr(kind))
        row["member_id"] = f"{row['cell_id']}-{row['rho']!r}-{seed}"
        return row

    return make


@pytest.fixture
def cost_row() -> Callable[..., dict]:
    """Return a maker of rows of costs; `cell` also tells cells apart."""

    def make(cell: str, latents: Sequence[int], seconds: Sequence[float] = (), **columns) -> dict:
        planned = Cell(dataset="mnist", latents=latents, batch_size=64)
        return {
            "cell_id": cell,
            "cell": cell,
            **planned.model_dump(mode="json"),
            "depth": len(latents),
            "control": "rho",
            "value": columns.get("rho", 1.0),
            "parameters": 12_400_000,
            "seconds_per_epoch": list(seconds),
            "memory_bytes": 2**30,
            "memory_kind": "autograd saved bytes",
            "device": "cpu",
        } | columns

    return make


@pytest.fixture
def write_run(tmp_path: Path) -> Callable[..., Path]:
    """Return a writer of run folders `runs/NAME`: members with a history, or costs with a space.yaml."""

    def write(
        name: str, members: Sequence[dict] = (), history: Sequence[dict] = (), costs: Sequence[dict] = ()
    ) -> Path:
        folder = tmp_path / "runs" / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "space.yaml").write_text(SPACE.replace("made", name))
        if members:
            write_table(pa.Table.from_pylist(list(members), schema=MEMBERS), folder / "members.parquet")
            write_table(pa.Table.from_pylist(list(history), schema=HISTORY), folder / "history.parquet")
        if costs:
            write_table(pa.Table.from_pylist(list(costs), schema=COSTS), folder / "costs.parquet")
        return folder

    return write
