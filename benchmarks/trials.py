"""Measure what Ray Tune costs per pack, and whether the cost grows with the number of packs.

python benchmarks/trials.py
python benchmarks/trials.py --packs 1000 5000 --out benchmarks/results/trials.csv

`--packs` packs of one member and one step, about 40 ms of work each, go through a local Ray as the packs of a
sweep do: through the Ray process of `sweeps.cluster`, with its search algorithm, one trial per pack, and a
worker that takes pack after pack. A pack requests all CPUs, so there is one worker. If packs are shorter than
the start of a worker, Tune gives the pack of a starting worker to the worker that has just finished, and
stops the starting worker. `benchmarks/scale.py` measures what the sweep itself does with a report.

ms a pack      wall time between the first and the last report, divided by the number of packs between them.
training       ms per pack that the worker reports as training; the rest is building the pack, Tune and Ray.
first, last    ms per pack for the first and for the last tenth of the packs.
resident       MiB of memory, at the end, of the process in which Tune runs.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

import search_spaces
from benchmarks.report import machine, print_row, write_rows
from ouvae.data import load as load_data
from sweeps.cluster.messages import Ended, Train, Wanted
from sweeps.cluster.process import RayProcess
from sweeps.executors.events import Failed, Finished, Next
from sweeps.executors.places import Resources
from sweeps.machine.cpus import usable_cpus
from sweeps.machine.processes import descendants
from sweeps.scratch import scratch_folder
from sweeps.worker.states import Folder
from sweeps.worker.task import Task

SETTINGS = ["latents=[[2, 2]]", "hidden=[8]", "steps=1", "eval_every=1", "eval_images=10"]


def measure(packs: int) -> dict[str, Any]:
    """Send packs through a local Ray and return a row with their cost."""
    cell = search_spaces.load("digits", SETTINGS).cells()[0]
    data = load_data(cell.dataset)
    ended: list[float] = []
    training, sent, resident = 0.0, 0, 0
    whole_machine = Resources(usable_cpus(), 0.0)

    def task() -> Task | None:
        nonlocal sent
        if sent == packs:
            return None
        sent += 1
        return Task(
            f"pack{sent}", cell, "rho", [(0.75, sent)], data.digest, "cpu", 1, 2**30, Folder("/nowhere"), 0.0
        )

    with tempfile.TemporaryDirectory(prefix="ouvae-trials-") as folder, scratch_folder() as scratch:
        ray = RayProcess(None, Path(folder) / "log", scratch)
        try:
            ray.connect()
            ray.send(Train(whole_machine, {data.digest: data}, 1))
            while True:
                message = ray.receive(1.0)
                if isinstance(message, Ended):
                    break
                if isinstance(message, Failed):
                    raise RuntimeError(f"{message.failure.reason}\n{message.failure.details}")
                if isinstance(message, Wanted):
                    next_task = task()
                    ray.send(Next(next_task, finished=next_task is None))
                if isinstance(message, Finished):
                    ended.append(time.perf_counter())
                    training += message.result.seconds
                    if len(ended) == packs:
                        resident = _resident(descendants(os.getpid())[0])  # the Ray process is the only child
        finally:
            ray.end()

    def ms(first: int, last: int) -> float:
        return round(1e3 * (ended[last] - ended[first]) / (last - first), 2)

    tenth = max(1, packs // 10)
    return {
        "packs": packs,
        "ms_a_pack": ms(0, packs - 1),
        "training_ms": round(1e3 * training / packs, 2),
        "first_ms": ms(0, tenth),
        "last_ms": ms(packs - 1 - tenth, packs - 1),
        "resident_mib": resident,
    }


def _resident(pid: int) -> int:
    status = Path(f"/proc/{pid}/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return sum(int(line.split()[1]) // 1024 for line in lines if line.startswith("VmRSS"))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    parser = argparse.ArgumentParser(prog="trials.py", description=(__doc__ or "").split("\n", 1)[0])
    add = parser.add_argument
    add("--packs", nargs="+", type=int, default=[1000, 5000], metavar="N", help="default 1000 and 5000")
    add("--out", type=Path, metavar="CSV", help="write the rows there too")
    args = parser.parse_args(arguments)
    if min(args.packs) < 2:
        parser.error("--packs: give at least 2")
    torch.set_num_threads(1)
    rows = []
    for packs in args.packs:
        rows.append(measure(packs))
        print_row(rows[-1])
    if args.out:
        write_rows(args.out, rows, machine())
    return 0


if __name__ == "__main__":
    sys.exit(main())
