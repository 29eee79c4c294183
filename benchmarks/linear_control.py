"""The exact control: in how many sweeps the threshold that is known exactly lies in its interval.

python benchmarks/linear_control.py
python benchmarks/linear_control.py --sweeps 40 --first-seed 6000 --out FOLDER

Each sweep is the command `sweeps/phase_transition.py --space linear_control`, with seeds that no other sweep
has, in one process. The linear Gaussian VAE collapses at rho_c = sqrt((r - 1/K) / (1 - 1/K)), with r the
variance of the data over that of an observation and K draws of smoothing; `CONTROLS` are its r and K. The
transition is continuous, and a member counts as active from some KL on, which balances two errors: it lies a
little inside, and members that collapse just outside take long to.
`--out` keeps the thresholds and sweeps that are not ended: the same command again goes on from them.

inside       sweeps whose interval has rho_c in it.
half-width   median and largest of the sweeps' intervals.
bias         mean of the estimates minus rho_c, with its standard error.
members      median of the sweeps' members.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow.parquet as pq

ROOT = Path(__file__).parents[1]
SEEDS_APART = 200
"""How far apart the first seeds of two sweeps lie; a sweep has fewer seeds."""


class Control(NamedTuple):
    """A linear Gaussian VAE: its r, for an observation of variance 1, and its draws K."""

    ratio: float
    draws: int


CONTROLS = (Control(0.8, 5), Control(0.6, 3), Control(0.7, 10))


def sweep(folder: Path, settings: Sequence[str], control: Control, first_seed: int) -> dict[str, Any]:
    """Run a sweep, go on with it, or read what came of it, and return the row of its threshold.

    Raises RuntimeError if it fails.
    """
    out = folder / f"{control.ratio}-{control.draws}-{first_seed}"
    found = out.with_name(f"{out.name}.parquet")
    if not found.exists():
        _run(out, settings, control, first_seed)
        (out / "thresholds.parquet").replace(found)
        shutil.rmtree(out)
    (row,) = pq.read_table(found).to_pylist()
    threshold: dict[str, Any] = row
    return threshold


def _run(out: Path, settings: Sequence[str], control: Control, first_seed: int) -> None:
    given = [
        f"data_variance=[{control.ratio}]",
        f"ou_samples={control.draws}",
        f"seeds={[first_seed + place for place in range(2)]}",
        f"max_members={SEEDS_APART}",
        *settings,
    ]
    command = [sys.executable, str(ROOT / "sweeps" / "phase_transition.py"), "--space", "linear_control"]
    command += ["--address", "serial", "--out", str(out), "--tracking-uri", f"sqlite:///{out / 'mlflow.db'}"]
    command += [word for setting in given for word in ("--set", setting)]
    ended = subprocess.run(command, cwd=out.parent, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise RuntimeError(f"the sweep of {control} from seed {first_seed} failed:\n{ended.stderr}")


def keep_settings(folder: Path, settings: Sequence[str]) -> None:
    """Make a folder for sweeps with these settings. Raises ValueError if it has those of others."""
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / "settings.json"
    if not kept.exists():
        kept.write_text(json.dumps(list(settings)))
    elif (others := json.loads(kept.read_text())) != list(settings):
        raise ValueError(
            f"{folder} has sweeps with --set {others}, not {list(settings)}: name another folder with --out"
        )


def sweeps(
    folder: Path, settings: Sequence[str], number: int, first_seed: int, workers: int
) -> Iterator[tuple[Control, dict[str, Any]]]:
    """Yield the threshold of each sweep, so many of each control, as they end in their order."""
    seeds = range(first_seed, first_seed + number * SEEDS_APART, SEEDS_APART)
    todo = list(product(CONTROLS, seeds))
    with ThreadPoolExecutor(workers) as pool:
        rows = pool.map(partial(sweep, folder, settings), *zip(*todo, strict=True))
        for (control, _), row in zip(todo, rows, strict=True):
            yield control, row


def line(control: Control, rows: Sequence[dict[str, Any]]) -> str:
    """Return what the sweeps of a control say together."""
    exact = rows[0]["rho_c_exact"]
    located = [row for row in rows if row["half_width"] is not None]
    inside = sum(row["rho_c_low"] <= exact <= row["rho_c_high"] for row in located)
    if not located:
        return f"r {control.ratio:g}  K {control.draws:2d}  rho_c {exact:.4f}  no interval in {len(rows)}"
    widths = [row["half_width"] for row in located]
    errors = np.array([row["rho_c"] - exact for row in located])
    deviation = errors.std(ddof=1) / np.sqrt(errors.size) if errors.size > 1 else np.nan
    return (
        f"r {control.ratio:g}  K {control.draws:2d}  rho_c {exact:.4f}  inside {inside} of {len(rows)}  "
        f"half-width {np.median(widths):.4f}, at most {max(widths):.4f}  "
        f"bias {errors.mean():+.4f} ({deviation:.4f})  "
        f"members {np.median([row['n_members'] for row in rows]):.0f}"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    parser = argparse.ArgumentParser(prog="linear_control.py", description=(__doc__ or "").split("\n", 1)[0])
    add = parser.add_argument
    add("--sweeps", type=int, default=40, metavar="N", help="of each control, default 40")
    add("--first-seed", type=int, default=0, metavar="N", help="of the first sweep, default 0")
    add("--workers", type=int, default=2, metavar="N", help="sweeps at a time, default 2")
    add("--out", type=Path, metavar="FOLDER", help="keep what is computed here, and go on from it")
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="as of the sweeps")
    given = parser.parse_args(arguments)
    rows: dict[Control, list[dict[str, Any]]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = (given.out or Path(temporary)).absolute()
        try:
            keep_settings(folder, given.set)
        except ValueError as error:
            parser.error(str(error))
        for control, row in sweeps(folder, given.set, given.sweeps, given.first_seed, given.workers):
            own = rows.setdefault(control, [])
            own.append(row)
            if len(own) == given.sweeps:
                print(line(control, own), flush=True)
            else:
                print(f"{control}: {len(own)} of {given.sweeps} sweeps", file=sys.stderr, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
