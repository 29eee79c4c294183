"""Seconds from Enter to the first trained pack of a fresh command, and to its end, beside an earlier commit.

python benchmarks/first_step.py
python benchmarks/first_step.py --earlier d49495b --out benchmarks/results/first_step.csv

The command sweeps two members of one training step on digits, into a fresh run directory and from a fresh
home, so that nothing but what comes before training, and after it, takes time. Codes take turns.

first pack   until the first finished pack is on disk: imports, Ray, Tune, a worker, a step and evaluations.
end          until the command has ended: tables, figures, the report and MLflow are in.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.checkouts import compared
from benchmarks.report import machine, print_row, write_rows

SPACE = {
    "latents": "[[4, 4]]",
    "search": "grid",
    "rho": "{low: 0.5, high: 1.0, points: 2}",
    "seeds": "1",
    "steps": "1",
    "eval_every": "1",
    "eval_images": "2",
}
LOOK_SECONDS = 0.01


def timed(checkout: Path) -> tuple[float, float]:
    """Return the seconds to the first pack and to the end, with the code of a checkout."""
    with tempfile.TemporaryDirectory(prefix="ouvae-first-") as home:
        out = Path(home) / "run"
        command = [sys.executable, str(checkout / "sweeps" / "phase_transition.py"), "--out", str(out)]
        command += [word for key, value in SPACE.items() for word in ("--set", f"{key}={value}")]
        environment = os.environ | {"HOME": home, "PYTHONPATH": str(checkout)}
        started, first = time.perf_counter(), None
        with (Path(home) / "log").open("w+") as log:
            process = subprocess.Popen(command, cwd=home, env=environment, stdout=log, stderr=log)
            while process.poll() is None:
                if first is None and any((out / "fragments").glob("*.members.parquet")):
                    first = time.perf_counter() - started
                time.sleep(LOOK_SECONDS)
            ended = time.perf_counter() - started
            if process.returncode or first is None:
                log.seek(0)
                raise SystemExit(f"the command ended with {process.returncode}:\n{log.read()}")
        return first, ended


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    parser = argparse.ArgumentParser(prog="first_step.py", description=(__doc__ or "").split("\n", 1)[0])
    add = parser.add_argument
    add("--earlier", metavar="COMMIT", help="measure the code of a commit beside this one's")
    add("--turns", type=int, default=5, metavar="N", help="of each, default 5")
    add("--out", type=Path, metavar="CSV", help="write the rows there too")
    given = parser.parse_args(arguments)
    with compared(given.earlier) as codes:
        rows = measure(codes, given.turns)
    if given.out:
        write_rows(given.out, rows, machine())
    return 0


def measure(codes: dict[str, Path], turns: int) -> list[dict[str, Any]]:
    """Measure each code in turns, and return a row of each."""
    runs: dict[str, list[tuple[float, float]]] = {code: [] for code in codes}
    for _ in range(turns):
        for code, checkout in codes.items():
            runs[code].append(timed(checkout))
    rows = []
    for code, times in runs.items():
        first, ended = (statistics.median(seconds) for seconds in zip(*times, strict=True))
        row = {"code": code, "turns": turns, "first_pack_s": round(first, 2), "end_s": round(ended, 2)}
        row["first_pack_all_s"] = " ".join(f"{seconds:.2f}" for seconds, _ in times)
        print_row(row)
        rows.append(row)
    return rows


if __name__ == "__main__":
    sys.exit(main())
