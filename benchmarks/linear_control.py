"""Count the sweeps whose interval contains the exact threshold of the linear Gaussian VAE.

python benchmarks/linear_control.py
python benchmarks/linear_control.py --first-seed 6000 --out benchmarks/results/linear_control.csv

Each sweep is the command `sweeps/phase_transition.py --space linear_control`, with seeds that no other sweep
has, in one process. The linear Gaussian VAE collapses at rho_c = sqrt((r - 1/K) / (1 - 1/K)),
where r is the variance of the data divided by the variance of an observation, and K is the number of draws of
smoothing. `CONTROLS` lists the pairs of r and K.

The transition is continuous, so the KL from which a member is active balances two errors. A member just below
the critical value has a smaller KL, and counts as collapsed. A member just above the critical value collapses
slowly, and counts as active.

Each finished sweep appends a row to the file of `--out`. A sweep with a row there is not run again.

inside       number of sweeps whose interval contains the critical value.
half-width   median and largest of the sweeps' intervals.
bias         mean of the estimates minus the critical value, with its standard error.
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
from collections.abc import Iterator, Sequence
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
from sweeps.record.provenance import commit

ROOT = Path(__file__).parents[1]
SPACE = "linear_control"
SEEDS_APART = 200
"""How far apart the first seeds of two sweeps lie; a sweep has fewer seeds."""


class Control(NamedTuple):
    """A linear Gaussian VAE with observations of variance 1: the ratio r and the number of draws K."""

    ratio: float
    draws: int


CONTROLS = (Control(0.8, 5), Control(0.6, 3), Control(0.7, 10))


class Found(NamedTuple):
    """The result of a sweep: a row of the file of `--out`.

    Ends of the interval are None if they are open. `settings` is a digest of the settings of the space and of
    `--set`, without r, K and seeds.
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


def digest(settings: Sequence[str]) -> str:
    """Return a digest of the settings of a sweep, without its control and its seeds."""
    values = search_spaces.load(SPACE, settings).model_dump(mode="json")
    for name in ("name", "question", "data_variance", "ou_samples", "seeds", "max_members"):
        del values[name]
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:12]


def sweep(settings: Sequence[str], control: Control, first_seed: int) -> Found:
    """Run a sweep. Raises RuntimeError if it fails."""
    overrides = [
        f"data_variance=[{control.ratio}]",
        f"ou_samples={control.draws}",
        f"seeds={[first_seed, first_seed + 1]}",
        f"max_members={SEEDS_APART}",
        *settings,
    ]
    with tempfile.TemporaryDirectory() as temporary:
        out = Path(temporary) / "run"
        command = [sys.executable, str(ROOT / "sweeps" / "phase_transition.py"), "--space", SPACE]
        command += ["--address", "serial", "--out", str(out)]
        command += [word for setting in overrides for word in ("--set", setting)]
        finished = subprocess.run(command, cwd=temporary, capture_output=True, text=True, check=False)
        if finished.returncode:
            raise RuntimeError(f"the sweep of {control} from seed {first_seed} failed:\n{finished.stderr}")
        (row,) = pq.read_table(out / "thresholds.parquet").to_pylist()
    numbers = {name: row[name] for name in Found._fields if name in row}
    origin = {"first_seed": first_seed, "members": row["n_members"], "settings": digest(settings)}
    return Found(**control._asdict(), **numbers, **origin, commit=commit() or "unknown")


def kept(path: Path, settings: Sequence[str]) -> dict[tuple[Control, int], Found]:
    """Return the sweeps in a file of results. Raises ValueError if a sweep has other settings."""
    if not path.exists():
        return {}
    options = pyarrow.csv.ConvertOptions(column_types={"settings": pa.string(), "commit": pa.string()})
    rows = [Found(**row) for row in pyarrow.csv.read_csv(path, convert_options=options).to_pylist()]
    if others := {row.settings for row in rows} - {digest(settings)}:
        raise ValueError(
            f"{path} has sweeps with settings {', '.join(sorted(others))}, not {digest(settings)}: name "
            "another file with --out"
        )
    return {(Control(row.ratio, row.draws), row.first_seed): row for row in rows}


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
    path: Path | None, settings: Sequence[str], number: int, first_seed: int, workers: int
) -> Iterator[tuple[Control, Found]]:
    """Yield `number` sweeps of each control, in order; append each new sweep to the file of results."""
    results = kept(path, settings) if path else {}
    lock = threading.Lock()
    todo = list(product(CONTROLS, range(first_seed, first_seed + number * SEEDS_APART, SEEDS_APART)))

    def run(control: Control, seed: int) -> Found:
        if (control, seed) in results:
            return results[control, seed]
        result = sweep(settings, control, seed)
        if path:
            with lock:
                keep(path, result)
        return result

    with ThreadPoolExecutor(workers) as pool:
        for (control, _), result in zip(todo, pool.map(run, *zip(*todo, strict=True)), strict=True):
            yield control, result


def line(control: Control, rows: Sequence[Found]) -> str:
    """Return a line that summarises the sweeps of a control."""
    head = f"r {control.ratio:g}  K {control.draws:2d}  rho_c {rows[0].critical_exact:.4f}"
    widths = [row.half_width for row in rows if row.half_width is not None]
    errors = np.array(
        [row.critical_value - row.critical_exact for row in rows if row.critical_value is not None]
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
    add("--sweeps", type=int, default=40, metavar="N", help="of each control, default 40")
    add("--first-seed", type=int, default=0, metavar="N", help="of the first sweep, default 0")
    add("--workers", type=int, default=2, metavar="N", help="sweeps at a time, default 2")
    add("--out", type=Path, metavar="CSV", help="keep what is computed here, and go on from it")
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="as of the sweeps")
    args = parser.parse_args(arguments)
    by_control: dict[Control, list[Found]] = {}
    try:
        for control, result in sweeps(args.out, args.set, args.sweeps, args.first_seed, args.workers):
            rows = by_control.setdefault(control, [])
            rows.append(result)
            if len(rows) == args.sweeps:
                print(line(control, rows), flush=True)
            else:
                print(f"{control}: {len(rows)} of {args.sweeps} sweeps", file=sys.stderr, flush=True)
    except ValueError as error:
        parser.error(str(error))
    return 0


if __name__ == "__main__":
    sys.exit(main())
