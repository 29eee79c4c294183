"""Compare members per minute: sweeps of packs against plain Ray Tune with one member per trial.

python benchmarks/packing.py
python benchmarks/packing.py --dataset mnist --data-dir DIR
python benchmarks/packing.py --out benchmarks/results/packing_digits.csv
python benchmarks/packing.py --overhead

Without `--overhead`, the same members are trained in two ways. The ways take turns, `--repeats` times each,
and each run is a command that uses all CPUs of this machine:

packed   `sweeps/phase_transition.py` with a grid search: what this project does, with tables, figures and
         MLflow.
plain    a first script for the same task: `trial` below, a Tune function trainable that trains one model in a
         plain loop (`benchmarks.plain`); `grid_search` over rho and seed, one CPU per trial, and Tune's
         default configuration with quiet output.

Both ways do the same work: the same members from the same initial weights, with the same minibatches,
binarization, noise and evaluations. This is checked first in float64, where the results agree to rounding,
and then for every pair of runs in float32, where rounding errors grow during training.

Three rates, in members per minute. A ratio compares two consecutive runs.

command   from the start of the command to its end.
running   from the start of Ray to the end of the last training, with worker starts, without imports.
training  members times slots divided by the seconds of all trials: the rate if no slot were ever idle. The
          seconds of a trial last from building its models to its last evaluation.

`--overhead` runs a sweep with the real command instead and prints where its wall time goes. Training is the
time during which at least one pack trains. A pack's interval ends when the driver has its outcomes
(`finished_at`) and lasts as long as the worker's clock says (`seconds`), so Tune's round trips between the
reports of a pack do not count as training. `--overhead` also prints the share of idle slots: 1 - (sum of the
packs' seconds) / (slots times wall time).
"""

import argparse
import json
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import torch
import yaml

sys.path.insert(0, str(Path(__file__).parents[1]))

import search_spaces
from benchmarks.plain import PlainMember
from benchmarks.report import machine, write_rows
from ouvae.data import DataError, Dataset
from ouvae.data import load as load_data
from ouvae.declared import Cell
from ouvae.training.outcome import Values
from ouvae.training.pack import PackTraining
from search_spaces import Space, SpaceError
from sweeps.machine.cpus import usable_cpus

ROOT = Path(__file__).parents[1]
CPUS = usable_cpus()
CELLS: dict[str, dict[str, Any]] = {
    "digits": {"latents": [[16, 16]], "hidden": [64, 64]},
    "mnist": {"latents": [[20, 20, 20]], "hidden": [100, 100], "eval_images": 1000},
}
"""The cell of each data set. `eval_images` keeps MNIST's evaluations at their usual share of a long run."""
SEEDS = 3
LOWEST_RHO = 0.5
GOALS = {"digits": 6.0, "mnist": 3.5}
"""Minimum ratio of whole commands on 2 CPUs, by data set."""
MOST_OVERHEAD = 0.10
CHECK_STEPS, CHECK_IMAGES = 30, 200
CHECK_TOLERANCE_NATS = 1e-8

Member = tuple[float, int]
"""(rho, seed)."""

Way = Callable[[Space, Path | None, Path], "Run"]
"""A function that runs a space. Called with the space, a data folder or None, and a scratch folder."""


class BenchmarkError(Exception):
    """A measurement failed, or the two ways did not do the same work."""


@dataclass(frozen=True)
class Training:
    """A pack, or a single member, in training; `end` is in seconds of the system's clock."""

    end: float
    seconds: float
    members: int

    @property
    def start(self) -> float:
        """When it would have started, had it trained without a break."""
        return self.end - self.seconds


@dataclass(frozen=True)
class Run:
    """A finished command.

    Attributes:
        started: start of the command; all times are in seconds of the system's clock.
        marks: ends of the phases before and after training, by name, in order.
        slots: number of packs or members that can train at once.
        kl_top_nats: final top-layer KL of each member.
    """

    started: float
    marks: Mapping[str, float]
    ended: float
    trainings: Sequence[Training]
    slots: int
    kl_top_nats: Mapping[Member, float]

    @property
    def wall(self) -> float:
        """Seconds from the command's start to its end."""
        return self.ended - self.started

    @property
    def first_start(self) -> float:
        """When the first training started."""
        return min(training.start for training in self.trainings)

    @property
    def last_end(self) -> float:
        """When the last training ended."""
        return max(training.end for training in self.trainings)

    @property
    def in_training(self) -> float:
        """Seconds during which at least one pack or member trained."""
        total, reached = 0.0, self.started
        for training in sorted(self.trainings, key=lambda training: training.start):
            total += max(0.0, training.end - max(reached, training.start))
            reached = max(reached, training.end)
        return total

    @property
    def slot_seconds(self) -> float:
        """Seconds of training summed over the slots."""
        return sum(training.seconds for training in self.trainings)

    @property
    def tail(self) -> float:
        """Slot seconds that are idle after the last training has started."""
        last_start = max(training.start for training in self.trainings)
        used = sum(max(0.0, training.end - max(training.start, last_start)) for training in self.trainings)
        return self.slots * (self.last_end - last_start) - used

    def rates(self) -> dict[str, float]:
        """Return the members per minute."""
        members = sum(training.members for training in self.trainings)
        seconds = {
            "command": self.wall,
            "running": self.last_end - self.marks["Ray"],
            "training": self.slot_seconds / self.slots,
        }
        return {name: 60 * members / value for name, value in seconds.items()}

    def phases(self) -> dict[str, float]:
        """Return the seconds of each phase without training; with `in_training` they add up to `wall`."""
        before = {name: at for name, at in self.marks.items() if at <= self.first_start}
        after = {name: at for name, at in self.marks.items() if at > self.first_start}
        ends = {**before, "first worker": self.first_start, "between packs": self.last_end}
        ends |= {**after, "exit": self.ended}
        starts = [self.started, *ends.values()]
        phases = {name: end - start for (name, end), start in zip(ends.items(), starts, strict=False)}
        phases["between packs"] -= self.in_training
        return phases


# The plain way


def trial(config: dict[str, Any], cell: Cell, data: Dataset) -> None:
    """Train one member as a Tune trial."""
    from ray import tune

    started = time.perf_counter()
    torch.set_num_threads(1)
    history = PlainMember(cell, data, config["rho"], config["seed"]).train()
    seconds = time.perf_counter() - started
    tune.report({"kl_top_nats": history[-1]["kl_top_nats"], "seconds": seconds, "finished_at": time.time()})


def plain_tune(space: Space, data: Dataset, scratch: Path) -> dict[str, Any]:
    """Train the space's members, one per trial, and return the values of a `Run` as a dictionary."""
    import ray
    from ray import tune

    ray.init(
        "local", num_cpus=CPUS, include_dashboard=False, logging_level=logging.ERROR, log_to_driver=False
    )
    ray_up = time.time()
    tuner = tune.Tuner(
        tune.with_parameters(trial, cell=space.cells()[0], data=data),
        param_space={
            "rho": tune.grid_search(list(space.values())),
            "seed": tune.grid_search(list(space.seeds)),
        },
        run_config=tune.RunConfig(storage_path=str(scratch), verbose=0),
    )
    results = tuner.fit()
    ray.shutdown()
    if results.errors:
        raise BenchmarkError(f"{results.num_errors} trials failed: {results.errors[0]}")
    keys = ("kl_top_nats", "seconds", "finished_at")
    members = [
        {**(result.config or {}), **{key: (result.metrics or {})[key] for key in keys}}
        for result in map(results.__getitem__, range(len(results)))
    ]
    return {"ray_up": ray_up, "members": members}


# Measuring


def compare(space: Space, data: Dataset, data_dir: Path | None, repeats: int) -> list[dict[str, Any]]:
    """Train the space's members both ways, in turns; print the rates, and return a row for each rate."""
    rho, seeds = space.values(), space.seeds
    print(
        f"{space.dataset}: {len(rho) * len(seeds)} members ({len(rho)} rho x {len(seeds)} seeds) of "
        f"{space.steps} steps, latents {list(space.latents[0])}, hidden {list(space.hidden)}, batch "
        f"{space.batch_size}, K = {space.ou_samples}; {slots(space)} slots; torch {torch.__version__}"
    )
    print(f"same work: {same_work(space, data)}")
    pairs: list[tuple[dict[str, float], dict[str, float]]] = []
    for repeat in range(repeats):
        ways = {"packed": run_sweep, "plain": run_plain}
        runs: dict[str, Run] = {}
        for name in ways if repeat % 2 == 0 else reversed(ways):
            runs[name] = timed(f"run {repeat + 1} {name:6}", ways[name], space, data_dir)
        packed, plain = runs["packed"], runs["plain"]
        print(f"run {repeat + 1}: {differences(packed.kl_top_nats, plain.kl_top_nats)}")
        pairs.append((packed.rates(), plain.rates()))
    print("\nmembers per minute, as minimum, median, maximum of the runs")
    print(f"{'':<12}{'packed':<24}{'plain':<24}packed / plain")
    for name in pairs[0][0]:
        values = [(packed[name], plain[name], packed[name] / plain[name]) for packed, plain in pairs]
        columns = [f"{spread(column):<24}" for column in zip(*values, strict=True)]
        print(f"{name:<12}{''.join(columns)}".rstrip())
    print(f"the goal is a ratio of commands of at least {GOALS[space.dataset]:g} on 2 CPUs")
    about = {"dataset": space.dataset, "members": len(rho) * len(seeds), "steps": space.steps}
    return [
        {**about, "run": run, "rate": name, "packed": round(packed[name], 2), "plain": round(plain[name], 2)}
        | {"ratio": round(packed[name] / plain[name], 3)}
        for run, (packed, plain) in enumerate(pairs, start=1)
        for name in packed
    ]


def timed(label: str, way: Way, space: Space, data_dir: Path | None) -> Run:
    """Run a command, and print its rates and how busy the machine was with other work before."""
    others = busy_cpus()
    with tempfile.TemporaryDirectory(prefix="ouvae-benchmark-") as scratch:
        run = way(space, data_dir, Path(scratch))
    sizes = sorted(training.members for training in run.trainings)
    rates = ", ".join(f"{name} {rate:.1f}" for name, rate in run.rates().items())
    print(
        f"{label} {run.wall:6.1f} s, {len(sizes)} trials of {sizes[0]} to {sizes[-1]}; members/min: {rates}; "
        f"other work before: {others}",
        flush=True,
    )
    return run


def overhead(space: Space, data_dir: Path | None) -> None:
    """Run the space with the real command and print where its wall time goes."""
    run = timed(f"sweep {space.name}", run_sweep, space, data_dir)
    idle = run.slots * run.wall - run.slot_seconds
    print_share("wall time", run.wall, run.wall)
    print_share("a pack in training", run.in_training, run.wall)
    print_share("not training", run.wall - run.in_training, run.wall, f"goal: at most {MOST_OVERHEAD:.0%}")
    for name, seconds in run.phases().items():
        print_share(f"  {name}", seconds, run.wall)
    print_share(f"idle slots, of {run.slots} x wall", idle, run.slots * run.wall)
    outside = run.slots * (run.wall - (run.last_end - run.first_start))
    print_share("  before and after all packs", outside, run.slots * run.wall)
    print_share("  until the last pack starts", idle - outside - run.tail, run.slots * run.wall)
    print_share("  after the last pack starts", run.tail, run.slots * run.wall)


def print_share(name: str, seconds: float, whole: float, note: str = "") -> None:
    """Print a line of `overhead`."""
    print(f"{name:<36}{seconds:8.1f} s {100 * seconds / whole:6.1f} %  {note}".rstrip())


def run_sweep(space: Space, data_dir: Path | None, scratch: Path) -> Run:
    """Run the space with the project's command, into `scratch`."""
    out = scratch / "run"
    command = ["sweeps/phase_transition.py", "--space", str(write_space(space, scratch)), "--out", str(out)]
    command += ["--data-dir", str(data_dir)] if data_dir else []
    started, first_lines, ended = run_command(command)
    rows = pq.read_table(out / "members.parquet").to_pylist()
    packs: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        packs.setdefault(row["pack_id"], []).append(row)
    marks = {
        "imports, data": (out / "space.yaml").stat().st_mtime,
        "Ray": first_lines["Ray: "],
        "Tune's and Ray's stop": (out / "history.parquet").stat().st_mtime,
        "tables, figures, MLflow": first_lines["tables "],
    }
    trainings = [
        Training(pack[0]["finished_at"].timestamp(), sum(row["seconds"] for row in pack), len(pack))
        for pack in packs.values()
    ]
    kl_top_nats = {(row["rho"], row["seed"]): row["kl_top_nats"] for row in rows}
    return Run(started, marks, ended, trainings, slots(space), kl_top_nats)


def run_plain(space: Space, data_dir: Path | None, scratch: Path) -> Run:
    """Run the space's members with the plain script, which is this file in another process."""
    result = scratch / "result.json"
    command = [__file__, "--plain", str(write_space(space, scratch)), str(result)]
    command += ["--data-dir", str(data_dir)] if data_dir else []
    started, _, ended = run_command(command)
    plain = json.loads(result.read_text())
    trainings = [Training(member["finished_at"], member["seconds"], 1) for member in plain["members"]]
    kl_top_nats = {(member["rho"], member["seed"]): member["kl_top_nats"] for member in plain["members"]}
    return Run(started, {"Ray": plain["ray_up"]}, ended, trainings, slots(space), kl_top_nats)


def run_command(command: Sequence[str]) -> tuple[float, dict[str, float], float]:
    """Run a Python script in the checkout's root; return the times of start, first lines and end.

    The time of a first line is by the line's first word, with the space after it.
    """
    # A local Ray stays on the loopback interface, as `sweeps.cluster.environment` has it for sweeps.
    quiet = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_USAGE_STATS_ENABLED": "0"}
    environment = {**os.environ, **quiet, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    started, first_lines, lines = time.time(), dict[str, float](), []
    with subprocess.Popen(
        [sys.executable, *command],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            first_lines.setdefault(line.partition(" ")[0] + " ", time.time())
            lines.append(line)
    ended = time.time()
    if process.returncode:
        raise BenchmarkError(f"{' '.join(command)} ended with {process.returncode}:\n{''.join(lines)}")
    return started, first_lines, ended


def same_work(space: Space, data: Dataset) -> str:
    """Train every member both ways for a few steps in float64, and return the largest difference in words.

    Raises:
        BenchmarkError: the results differ by more than rounding.
    """
    short = {"steps": CHECK_STEPS, "eval_every": CHECK_STEPS, "eval_images": CHECK_IMAGES}
    cell = space.cells()[0].model_copy(update=short | {"precision": "float64"})
    members = [(rho, seed) for seed in space.seeds for rho in space.values()]
    pack = PackTraining(cell, members, data)
    while not pack.done:
        pack.train_step()
    largest = max(
        abs(a - b)
        for outcome in pack.outcomes()
        for packed, plain in zip(
            outcome.history, PlainMember(cell, data, outcome.rho, outcome.seed).train(), strict=True
        )
        for a, b in zip(in_nats(packed), in_nats(plain), strict=True)
    )
    text = f"after {CHECK_STEPS} steps in float64 all metrics agree to {largest:.1e} nats"
    if not largest <= CHECK_TOLERANCE_NATS:
        raise BenchmarkError(f"packed and plain do different work: {text}")
    return text


def in_nats(metrics: Values) -> list[float]:
    """Return all metrics of an evaluation that are in nats."""
    single = ("elbo_nats", "objective_nats", "reconstruction_nats")
    return [*(metrics[name] for name in single), *metrics["kl_nats"]]


def differences(packed: Mapping[Member, float], plain: Mapping[Member, float]) -> str:
    """Return, in words, how far the final KLs of the same members differ between two float32 runs.

    Raises:
        BenchmarkError: the runs trained different members.
    """
    if packed.keys() != plain.keys():
        raise BenchmarkError(f"packed trained {sorted(packed)}, plain trained {sorted(plain)}")
    errors = sorted(abs(packed[member] - plain[member]) for member in packed)
    return f"final kl_top_nats in float32 differ by {spread(errors, 4)} nats"


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Return minimum, median and maximum."""
    return " ".join(f"{value:.{digits}f}" for value in (min(values), statistics.median(values), max(values)))


def busy_cpus() -> str:
    """Return the number of busy CPUs of this machine in words; `unknown` if the system does not tell."""

    def ticks() -> list[int]:
        return [int(word) for word in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]

    try:
        before = ticks()
        time.sleep(2)
        spent = [after - earlier for after, earlier in zip(ticks(), before, strict=True)]
    except (OSError, ValueError):
        return "unknown"
    idle = spent[3] + spent[4]
    return f"{(os.cpu_count() or 1) * (1 - idle / max(sum(spent), 1)):.1f} of {os.cpu_count()} CPUs"


def slots(space: Space) -> int:
    """Return how many packs of the space train at once on this machine."""
    return CPUS // space.cpus_per_pack


def write_space(space: Space, folder: Path) -> Path:
    """Write the space as a YAML file."""
    path = folder / f"{space.name}.yaml"
    path.write_text(yaml.safe_dump(space.model_dump(mode="json")))
    return path


def grid(args: argparse.Namespace) -> Space:
    """Return the space of the comparison: a grid of `--members` members of one cell."""
    values = CELLS[args.dataset] | {
        "name": "packing",
        "dataset": args.dataset,
        "rho": {"low": LOWEST_RHO, "high": 1.0, "points": args.members // SEEDS},
        "seeds": SEEDS,
        "steps": args.steps,
        "search": "grid",
        "device": "cpu",
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "packing.yaml"
        path.write_text(yaml.safe_dump(values))
        return search_spaces.load(str(path), args.overrides)


def parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    result = argparse.ArgumentParser(prog="packing.py", description=(__doc__ or "").split("\n", 1)[0])
    add = result.add_argument
    add("--dataset", default="digits", choices=tuple(CELLS), help="default digits")
    add("--data-dir", type=Path, metavar="DIR", help="folder with the data set's files")
    add("--members", type=int, default=72, metavar="N", help=f"a multiple of {SEEDS} seeds; default 72")
    add("--steps", type=int, default=1000, metavar="N", help="training steps of a member; default 1000")
    add("--out", type=Path, metavar="CSV", help="write the rates there too")
    add("--repeats", type=int, default=1, metavar="N", help="pairs of runs; default 1")
    add(
        "--overhead",
        nargs="?",
        const="digits",
        metavar="SPACE",
        help="run this space instead (default digits, about 4 minutes) and print where its wall time goes",
    )
    add(
        "--set",
        dest="overrides",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="set a key of the space, in both uses; may be repeated",
    )
    add("--plain", nargs=2, type=Path, help=argparse.SUPPRESS)
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    command = parser()
    args = command.parse_args(arguments)
    if args.members < 2 * SEEDS or args.members % SEEDS:
        command.error(f"--members {args.members}: give a multiple of {SEEDS}, at least {2 * SEEDS}")
    if args.repeats < 1:
        command.error(f"--repeats {args.repeats}: give at least 1")
    try:
        if args.overhead:
            overhead(search_spaces.load(args.overhead, args.overrides), args.data_dir)
            return 0
        space = search_spaces.load(str(args.plain[0])) if args.plain else grid(args)
        data = load_data(space.dataset, args.data_dir)
        if args.plain:
            with tempfile.TemporaryDirectory(prefix="ouvae-plain-") as scratch:
                args.plain[1].write_text(json.dumps(plain_tune(space, data, Path(scratch))))
        else:
            torch.set_num_threads(1)
            rows = compare(space, data, args.data_dir, args.repeats)
            if args.out:
                write_rows(args.out, rows, machine())
    except (BenchmarkError, DataError, SpaceError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
