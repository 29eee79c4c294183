"""How fast a training step of a pack is, beside what one core of this machine can do.

python benchmarks/step.py
python benchmarks/step.py --models digits mnist --members 1 6 12 24 48 --seconds 2
python benchmarks/step.py --out benchmarks/results/step.csv

A pack of each model and size is built, every member with a seed of its own, as the search `locate` asks for
them (and of one seed for all with `--one-seed`); no evaluations. Packs take turns, for a fraction of a second
each, on one thread, until each had its `--seconds`; so do a matrix product and a copy of memory, which say
what the core can do at that time. Where a data set has no files here, its models are left out and that is
said.

ms                  of a step of the whole pack, the median of its turns.
member-steps/s      members over that.
GFLOP/s             two operations for each multiply-add of affine and convolutional layers, forward and twice
                    that backward (`ouvae.training.counts`).
of the product      their share of what a product of two 2048 x 2048 float32 matrices reaches.
"""

import argparse
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from pyarrow import csv

sys.path.insert(0, str(Path(__file__).parents[1]))

import search_spaces
from ouvae.data import DataError
from ouvae.data import load as load_data
from ouvae.declared import Cell
from ouvae.training.counts import multiply_adds
from ouvae.training.pack import PackTraining
from sweeps.pack_work import keep_freed_memory
from sweeps.records import commit

MODELS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "digits": ("digits", ("latents=[[10, 10]]",)),
    "mnist": ("mnist_mlp", ("latents=[[20, 20, 20]]", "hidden=[100, 100]")),
    "omniglot": ("omniglot_mlp", ("latents=[[40, 40, 40, 40]]",)),
    "conv": ("mnist_mlp", ("latents=[[10, 10, 10]]", "architecture=conv", "hidden=[8, 8]", "batch_size=50")),
}
"""Each a space and what is set in it."""

MEMBERS = (1, 6, 12, 24, 48)
TURN_SECONDS = 0.3
PRODUCT_SIZE = 2048
COPIED_BYTES = 2**28


@dataclass
class Contender:
    """What takes turns.

    Attributes:
        step: what is timed.
        times: seconds of a step, one a turn.
    """

    step: Callable[[], object]
    times: list[float] = field(default_factory=list)

    def take_turn(self, seconds: float = TURN_SECONDS) -> None:
        """Repeat the step for about so long."""
        count, spent, started = 0, 0.0, time.perf_counter()
        while not count or spent < seconds:
            self.step()
            count += 1
            spent = time.perf_counter() - started
        self.times.append(spent / count)

    @property
    def seconds(self) -> float:
        """Of a step: the median over turns."""
        return statistics.median(self.times)


def endless(space: str, settings: Sequence[str]) -> Cell:
    """Return the first cell of a space, with so many steps that it is never evaluated again."""
    long = ["steps=1000000000", "eval_every=1000000000", "eval_images=2"]
    return search_spaces.load(space, [*settings, *long]).cells()[0]


def pack_of(cell: Cell, members: int, one_seed: bool) -> Contender:
    """Return a pack whose members lie evenly between rho 0.5 and 1."""
    data = load_data(cell.dataset, download=False)
    rho = torch.linspace(0.5, 1, members).tolist()
    training = PackTraining(cell, [(value, 0 if one_seed else seed) for seed, value in enumerate(rho)], data)
    for _ in range(3):
        training.train_step()
    return Contender(training.train_step)


def limits() -> tuple[Contender, Contender]:
    """Return a matrix product and a copy of memory."""
    left, right = torch.rand(2, PRODUCT_SIZE, PRODUCT_SIZE)
    product = torch.empty_like(left)
    source = torch.rand(COPIED_BYTES // 4)
    target = torch.empty_like(source)
    return Contender(lambda: torch.mm(left, right, out=product)), Contender(lambda: target.copy_(source))


def measure(name: str, sizes: Sequence[int], seconds: float, one_seed: bool) -> list[dict[str, Any]]:
    """Measure packs of a model beside the limits, and return a row of each."""
    cell = endless(*MODELS[name])
    packs = [pack_of(cell, members, one_seed) for members in sizes]
    product, copy = limits()
    for _ in range(max(1, round(seconds / TURN_SECONDS))):
        for contender in (product, copy, *packs):
            contender.take_turn()
    peak = 2 * PRODUCT_SIZE**3 / product.seconds / 1e9
    copied = 2 * COPIED_BYTES / copy.seconds / 1e9
    operations = 2 * multiply_adds(cell, cell.image_shape) / 1e9
    rows = []
    for members, pack in zip(sizes, packs, strict=True):
        rate = members / pack.seconds
        rows.append(
            {
                "model": name,
                "members": members,
                "seeds": 1 if one_seed else members,
                "ms": round(1e3 * pack.seconds, 2),
                "member_steps_per_s": round(rate, 1),
                "gflops": round(rate * operations, 1),
                "product_gflops": round(peak, 1),
                "share_of_product": round(rate * operations / peak, 3),
                "copy_gb_per_s": round(copied, 1),
            }
        )
    return rows


def machine() -> dict[str, str]:
    """Return what the numbers depend on besides the code."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "cpu": names[0] if names else platform.processor(),
        "cores": str(len(os.sched_getaffinity(0))),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "commit": commit(),
        "date": time.strftime("%Y-%m-%d"),
    }


def print_rows(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print the rows of a model."""
    first = rows[0]
    print(
        f"\n{first['model']}: a matrix product reaches {first['product_gflops']:.1f} GFLOP/s, a copy "
        f"{first['copy_gb_per_s']:.1f} GB/s\nmembers  ms       member-steps/s  GFLOP/s  of the product"
    )
    for row in rows:
        print(
            f"{row['members']:<9}{row['ms']:<9.2f}{row['member_steps_per_s']:<16.1f}{row['gflops']:<9.1f}"
            f"{row['share_of_product']:.0%}",
            flush=True,
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    parser = argparse.ArgumentParser(prog="step.py", description=(__doc__ or "").split("\n", 1)[0])
    add = parser.add_argument
    names = list(MODELS)
    add("--models", nargs="+", choices=names, default=names, metavar="MODEL", help=f"of {', '.join(names)}")
    add("--members", nargs="+", type=int, default=list(MEMBERS), metavar="P", help="sizes of packs")
    add("--one-seed", action="store_true", help="all members of a pack have one seed")
    add("--seconds", type=float, default=3.0, metavar="S", help="of each pack, default 3")
    add("--out", type=Path, metavar="CSV", help="write the rows there too")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    keep_freed_memory()
    about = machine()
    print(", ".join(f"{key} {value}" for key, value in about.items()))
    rows: list[dict[str, Any]] = []
    for name in given.models:
        try:
            own = measure(name, given.members, given.seconds, given.one_seed)
        except DataError as error:
            print(f"\n{name}: left out: {error}")
            continue
        print_rows(own)
        rows += own
    if given.out and rows:
        given.out.parent.mkdir(parents=True, exist_ok=True)
        csv.write_csv(pa.Table.from_pylist([{**row, **about} for row in rows]), given.out)
        print(f"\nwrote {given.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
