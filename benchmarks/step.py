"""How fast a training step of a pack is, beside what one core of this machine, or its GPU, can do.

python benchmarks/step.py
python benchmarks/step.py --models digits mnist --members 1 6 12 24 48 --seconds 2
python benchmarks/step.py --out benchmarks/results/step.csv
python benchmarks/step.py --device cuda --out benchmarks/results/step_cuda.csv
python benchmarks/step.py --device cuda --models mnist_4x40 --set precision=bfloat16
python benchmarks/step.py --device cuda --models table9 --members 1 256 --out table9_cuda.csv
python benchmarks/step.py --models digits_activations mnist_activations --members 12 24

A pack of each cell of a model (`table9` has that table's three) and of each size is built, every member with
a seed of its own, as the search `locate` asks for them (and of one seed for all with `--one-seed`); no
evaluations. Packs take turns, for a fraction of a second each, on one thread, until each had its `--seconds`;
so do one model in a plain loop, a matrix product and a copy of memory, which say what the core can do at that
time. Where a data set has no files here, its models are left out and that is said. `--steps` is what packs
are told that they have before them: on a GPU a long training is compiled, one of fewer than 20,000 steps is
not.

way                 `pack`, or `plain`: one model, a loop, PyTorch's own optimizer (`benchmarks.plain`).
ms                  of a step of the whole pack, the median of its turns.
member-steps/s      members over that.
GFLOP/s             two operations for each multiply-add of affine and convolutional layers, forward and twice
                    that backward (`ouvae.training.counts`).
of the product      their share of what a product of two 2048 x 2048 float32 matrices reaches.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

import search_spaces
from benchmarks.plain import PlainMember
from benchmarks.report import machine, write_rows
from ouvae.data import DataError, Dataset
from ouvae.data import load as load_data
from ouvae.declared import Cell
from ouvae.declared.labels import labels
from ouvae.declared.traits import ActivationName
from ouvae.training.counts import multiply_adds
from ouvae.training.pack import PackTraining
from ouvae.training.step.step import COMPILED_FROM
from sweeps.worker.work import keep_freed_memory

_DIGITS, _MNIST = ("latents=[[10, 10]]",), ("latents=[[20, 20, 20]]", "hidden=[100, 100]")
_RELU = "activation=relu"
_ACTIVATIONS = f"variants=[{', '.join(f'{{activation: {name}}}' for name in get_args(ActivationName))}]"

MODELS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "digits": ("digits", (*_DIGITS, _RELU)),
    "mnist": ("mnist_mlp", (*_MNIST, _RELU)),
    "digits_activations": ("digits", (*_DIGITS, _ACTIVATIONS)),
    "mnist_activations": ("mnist_mlp", (*_MNIST, _ACTIVATIONS)),
    "mnist_4x40": ("mnist_mlp", ("latents=[[40, 40, 40, 40]]",)),
    "omniglot": ("omniglot_mlp", ("latents=[[40, 40, 40, 40]]",)),
    "conv": ("mnist_mlp", ("latents=[[10, 10, 10]]", "architecture=conv", "hidden=[8, 8]", "batch_size=50")),
    "table9": (
        "mnist_mlp",
        (
            "latents=[[40, 40, 40, 40]]",
            "variants=[{smoothed_networks: [], rho: [1.0]}, {objective: iwae, importance_samples: 5, "
            "smoothed_networks: [], rho: [1.0]}, {smoothed_networks: [generative]}]",
        ),
    ),
}
"""Each a space and what is set in it; the cells of a space are measured side by side."""

MEMBERS = {"cpu": (1, 6, 12, 24, 48), "cuda": (1, 64, 256, 512)}
STEPS = 10**9
TURN_SECONDS = 0.3
ASKED_EVERY = 16
"""Steps after which a GPU, which is told of steps long before it takes them, is waited for."""

PRODUCT_SIZE = 2048
COPIED_BYTES = 2**28


@dataclass
class Contender:
    """A step that is timed in turns; `times` are its seconds in each turn."""

    step: Callable[[], object]
    device: str
    times: list[float] = field(default_factory=list)

    def take_turn(self, seconds: float = TURN_SECONDS) -> None:
        """Repeat the step for about so long."""
        count, spent, started = 0, 0.0, time.perf_counter()
        while not count or spent < seconds:
            self.step()
            count += 1
            if self.device == "cuda" and count % ASKED_EVERY == 0:
                torch.cuda.synchronize()
            spent = time.perf_counter() - started
        if self.device == "cuda":
            torch.cuda.synchronize()
            spent = time.perf_counter() - started
        self.times.append(spent / count)

    @property
    def seconds(self) -> float:
        """Of a step: the median over turns."""
        return statistics.median(self.times)


def timed(space: str, settings: Sequence[str], steps: int) -> tuple[Cell, ...]:
    """Return the cells of a space, which are evaluated only after so many steps."""
    long = [f"steps={steps}", f"eval_every={steps}", "eval_images=2"]
    return search_spaces.load(space, [*settings, *long]).cells()


def pack_of(cell: Cell, data: Dataset, members: int, device: str, one_seed: bool) -> Contender:
    """Return a pack whose members lie evenly between rho 0.5 and 1."""
    rho = torch.linspace(0.5, 1, members).tolist()
    placed = [(value, 0 if one_seed else seed) for seed, value in enumerate(rho)]
    training = PackTraining(cell, placed, data, device)

    def step() -> None:
        training.train_step()
        if training.done:
            raise RuntimeError(f"the training of {cell.steps} steps is over: give more --steps")

    return Contender(step, device)


def plain(cell: Cell, data: Dataset, device: str) -> Contender:
    """Return a model in a plain loop."""
    return Contender(PlainMember(cell, data, 0.75, 0, torch.device(device)).step, device)


def limits(device: str) -> tuple[Contender, Contender]:
    """Return a matrix product and a copy of memory."""
    left, right = torch.rand(2, PRODUCT_SIZE, PRODUCT_SIZE, device=device)
    product = torch.empty_like(left)
    source = torch.rand(COPIED_BYTES // 4, device=device)
    target = torch.empty_like(source)
    return (
        Contender(lambda: torch.mm(left, right, out=product), device),
        Contender(lambda: target.copy_(source), device),
    )


def measure(
    cells: Sequence[Cell], sizes: Sequence[int], seconds: float, device: str, one_seed: bool
) -> list[dict[str, Any]]:
    """Measure packs of cells beside the limits, and return a row of each."""
    contenders: list[tuple[Cell, int, str, Contender]] = []
    for cell in cells:
        data = load_data(cell.dataset, download=False)
        if cell.objective == "elbo":
            contenders.append((cell, 1, "plain", plain(cell, data, device)))
        for size in sizes:
            contenders.append((cell, size, "pack", pack_of(cell, data, size, device, one_seed)))
    product, copy = limits(device)
    turns = [product, copy, *(contender for *_, contender in contenders)]
    for contender in turns:
        for _ in range(3):
            contender.step()
    for _ in range(max(1, round(seconds / TURN_SECONDS))):
        for contender in turns:
            contender.take_turn()
    peak = 2 * PRODUCT_SIZE**3 / product.seconds / 1e9
    copied = 2 * COPIED_BYTES / copy.seconds / 1e9
    names = dict(zip(cells, labels(cells), strict=True))
    operations = {cell: 2 * multiply_adds(cell, cell.image_shape) / 1e9 for cell in cells}
    rows = []
    for cell, members, way, contender in contenders:
        rate = members / contender.seconds
        rows.append(
            {
                "cell": names[cell],
                "way": way,
                "precision": cell.precision if way == "pack" else "float32",
                "members": members,
                "seeds": 1 if one_seed else members,
                "ms": round(1e3 * contender.seconds, 3),
                "member_steps_per_s": round(rate, 1),
                "gflops": round(rate * operations[cell], 1),
                "product_gflops": round(peak, 1),
                "share_of_product": round(rate * operations[cell] / peak, 3),
                "copy_gb_per_s": round(copied, 1),
                "compiled": way == "pack" and device == "cuda" and cell.steps >= COMPILED_FROM,
            }
        )
    return rows


def print_rows(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print the rows of a model."""
    first = rows[0]
    print(
        f"\n{first['model']}: a matrix product reaches {first['product_gflops']:.1f} GFLOP/s, a copy "
        f"{first['copy_gb_per_s']:.1f} GB/s\nmembers  way    ms       member-steps/s  GFLOP/s  of the product"
        "  cell"
    )
    for row in rows:
        print(
            f"{row['members']:<9}{row['way']:<7}{row['ms']:<9.2f}{row['member_steps_per_s']:<16.1f}"
            f"{row['gflops']:<9.1f}{row['share_of_product']:<16.0%}{row['cell']}",
            flush=True,
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    parser = argparse.ArgumentParser(prog="step.py", description=(__doc__ or "").split("\n", 1)[0])
    add = parser.add_argument
    names = list(MODELS)
    add("--models", nargs="+", choices=names, default=names, metavar="MODEL", help=f"of {', '.join(names)}")
    add("--members", nargs="+", type=int, metavar="P", help="sizes of packs")
    add("--device", choices=list(MEMBERS), default="cpu", help="where they train, default cpu")
    add("--steps", type=int, default=STEPS, metavar="N", help="of the training, default endless")
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="change a key of the models")
    add("--one-seed", action="store_true", help="all members of a pack have one seed")
    add("--seconds", type=float, default=3.0, metavar="S", help="of each pack, default 3")
    add("--out", type=Path, metavar="CSV", help="write the rows there too")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    keep_freed_memory()
    about = machine(given.device)
    print(", ".join(f"{key} {value}" for key, value in about.items()))
    rows: list[dict[str, Any]] = []
    for name in given.models:
        try:
            space, settings = MODELS[name]
            cells = timed(space, [*settings, *given.set], given.steps)
            sizes = given.members or MEMBERS[given.device]
            measured = measure(cells, sizes, given.seconds, given.device, given.one_seed)
        except DataError as error:
            print(f"\n{name}: left out: {error}")
            continue
        named = [{"model": name, **row} for row in measured]
        print_rows(named)
        rows += named
    if given.out and rows:
        write_rows(given.out, rows, about)
    return 0


if __name__ == "__main__":
    sys.exit(main())
