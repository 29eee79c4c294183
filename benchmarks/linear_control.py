"""Count the sweeps whose interval contains the exact critical value of the linear Gaussian VAE.

python benchmarks/linear_control.py
python benchmarks/linear_control.py --first-seed 6000 --out benchmarks/results/linear_control.csv
python benchmarks/linear_control.py --space linear_beta --first-seed 10000

Each sweep is the command `sweeps/phase_transition.py --space SPACE`, with seeds that no other sweep has, in
one process. `ouvae.linear_gaussian` has the exact values. `MODELS` lists the models of each space, by the
variance r of the data, divided by that of an observation where it is fixed, and the number K of draws.

The transition is continuous, so the KL from which a member is active balances two errors. A member just on
the active side of the critical value has a smaller KL, and counts as collapsed. A member just on the other
side collapses slowly, and counts as active.

Each finished sweep appends a row to the file of `--out`. A sweep with a row there is not run again.

inside       number of sweeps whose interval contains the critical value.
half-width   median and largest of the sweeps' intervals, in decades on a log scale.
bias         mean of the estimates minus the critical value, with its standard error, in the same unit.
members      median of the sweeps' members.
"""

import argparse
import csv
import hashlib
import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).parents[1]))

import search_spaces
from analysis.statistics.scale import Scale
from search_spaces.space import SearchKeys
from sweeps.record.provenance import commit

ROOT = Path(__file__).parents[1]
SEEDS_APART = 200
"""How far apart the first seeds of two sweeps lie; a sweep has fewer seeds."""


class Model(NamedTuple):
    """A linear Gaussian VAE: the ratio r and the number of draws K."""

    ratio: float
    draws: int


MODELS: Mapping[str, Sequence[Model]] = {
    "linear_control": (Model(0.8, 5), Model(0.6, 3), Model(0.7, 10)),
    "linear_beta": (Model(0.8, 5),),
    "linear_variance": (Model(0.8, 5),),
}
"""The models of each space."""


class Found(NamedTuple):
    """The result of a sweep: a row of the file of `--out`.

    Ends of the interval are None if they are open. `settings` is the `digest` of the space and of `--set`.
    """

    ratio: float
    draws: int
    first_seed: int
    critical_exact: float
    critical_value: float | None
    critical_low: float | None
    critical_high: float | None
    half_width: float | None
    members: int
    settings: str
    commit: str

    @property
    def is_inside(self) -> bool:
        """Whether the interval has two ends and contains the exact threshold."""
        if self.critical_low is None or self.critical_high is None:
            return False
        return self.critical_low <= self.critical_exact <= self.critical_high


def digest(space: str, settings: Sequence[str]) -> str:
    """Return a digest of what a sweep trains and how it searches, without its model and its seeds.

    Keys with their defaults do not count, so that a new key changes no digest.
    """
    loaded = search_spaces.load(space, settings)
    cell = loaded.cells()[0].identity()
    values = {name: value for name, value in cell.items() if name not in ("data_variance", "ou_samples")}
    search = {*SearchKeys.model_fields} - {"seeds", "max_members"}
    values |= loaded.model_dump(mode="json", include=search, exclude_defaults=True)
    values |= {"control": loaded.control, "initial": loaded.values()}
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:12]


def sweep(space: str, settings: Sequence[str], model: Model, first_seed: int) -> Found:
    """Run a sweep. Raises RuntimeError if it fails."""
    overrides = [
        f"data_variance=[{model.ratio}]",
        f"ou_samples={model.draws}",
        f"seeds={[first_seed, first_seed + 1]}",
        f"max_members={SEEDS_APART}",
        *settings,
    ]
    with tempfile.TemporaryDirectory() as temporary:
        out = Path(temporary) / "run"
        command = [sys.executable, str(ROOT / "sweeps" / "phase_transition.py"), "--space", space]
        command += ["--address", "serial", "--out", str(out)]
        command += [word for setting in overrides for word in ("--set", setting)]
        finished = subprocess.run(command, cwd=temporary, capture_output=True, text=True, check=False)
        if finished.returncode:
            raise RuntimeError(f"the sweep of {model} from seed {first_seed} failed:\n{finished.stderr}")
        (row,) = pq.read_table(out / "thresholds.parquet").to_pylist()
    numbers = {name: row[name] for name in Found._fields if name in row}
    origin = {"first_seed": first_seed, "members": row["n_members"], "settings": digest(space, settings)}
    return Found(**model._asdict(), **numbers, **origin, commit=commit() or "unknown")


def kept(path: Path, settings: str) -> dict[tuple[Model, int], Found]:
    """Return the sweeps in a file of results. Raises ValueError if the digest of a sweep is another one."""
    if not path.exists():
        return {}
    options = pyarrow.csv.ConvertOptions(column_types={"settings": pa.string(), "commit": pa.string()})
    rows = [Found(**row) for row in pyarrow.csv.read_csv(path, convert_options=options).to_pylist()]
    if others := {row.settings for row in rows} - {settings}:
        raise ValueError(
            f"{path} has sweeps with settings {', '.join(sorted(others))}, not {settings}: name another file "
            "with --out"
        )
    return {(Model(row.ratio, row.draws), row.first_seed): row for row in rows}


def keep(path: Path, result: Found) -> None:
    """Append a sweep to a file of results; a new file starts with a header."""
    path.parent.mkdir(parents=True, exist_ok=True)
    is_new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        if is_new:
            writer.writerow(Found._fields)
        writer.writerow(result)


def sweeps(
    path: Path | None, space: str, settings: Sequence[str], number: int, first_seed: int, workers: int
) -> Iterator[tuple[Model, Found]]:
    """Yield `number` sweeps of each model, in order; append each new sweep to the file of results."""
    results = kept(path, digest(space, settings)) if path else {}
    lock = threading.Lock()
    seeds = range(first_seed, first_seed + number * SEEDS_APART, SEEDS_APART)
    todo = list(product(MODELS[space], seeds))

    def run(model: Model, seed: int) -> Found:
        if (model, seed) in results:
            return results[model, seed]
        result = sweep(space, settings, model, seed)
        if path:
            with lock:
                keep(path, result)
        return result

    with ThreadPoolExecutor(workers) as pool:
        for (model, _), result in zip(todo, pool.map(run, *zip(*todo, strict=True)), strict=True):
            yield model, result


def line(model: Model, rows: Sequence[Found], control: str, scale: Scale) -> str:
    """Return a line that summarises the sweeps of a model."""
    head = f"r {model.ratio:g}  K {model.draws:2d}  {control}_c {rows[0].critical_exact:.4f}"
    widths = [row.half_width for row in rows if row.half_width is not None]
    errors = np.array(
        [
            scale.place(row.critical_value) - scale.place(row.critical_exact)
            for row in rows
            if row.critical_value is not None
        ]
    )
    if not widths:
        return f"{head}  no interval in {len(rows)}"
    deviation = errors.std(ddof=1) / np.sqrt(errors.size) if errors.size > 1 else np.nan
    return (
        f"{head}  inside {sum(row.is_inside for row in rows)} of {len(rows)}  "
        f"half-width {np.median(widths):.4f}, at most {max(widths):.4f}  "
        f"bias {errors.mean():+.4f} ({deviation:.4f})  "
        f"members {np.median([row.members for row in rows]):.0f}"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    parser = argparse.ArgumentParser(prog="linear_control.py", description=(__doc__ or "").split("\n", 1)[0])
    add = parser.add_argument
    add("--space", choices=MODELS, default="linear_control", help="default linear_control")
    add("--sweeps", type=int, default=40, metavar="N", help="of each model, default 40")
    add("--first-seed", type=int, default=0, metavar="N", help="of the first sweep, default 0")
    add("--workers", type=int, default=2, metavar="N", help="sweeps at a time, default 2")
    add("--out", type=Path, metavar="CSV", help="keep what is computed here, and go on from it")
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="as of the sweeps")
    args = parser.parse_args(arguments)
    space = search_spaces.load(args.space, args.set)
    by_model: dict[Model, list[Found]] = {}
    numbers = args.sweeps, args.first_seed, args.workers
    try:
        for model, result in sweeps(args.out, args.space, args.set, *numbers):
            rows = by_model.setdefault(model, [])
            rows.append(result)
            if len(rows) == args.sweeps:
                print(line(model, rows, space.control, Scale(space.scale)), flush=True)
            else:
                print(f"{model}: {len(rows)} of {args.sweeps} sweeps", file=sys.stderr, flush=True)
    except ValueError as error:
        parser.error(str(error))
    return 0


if __name__ == "__main__":
    sys.exit(main())
