"""How many times as fast a step of a pack is as it was at an earlier commit, side by side.

python benchmarks/earlier.py d49495b
python benchmarks/earlier.py d49495b --models digits mnist --members 12 48 --one-seed
python benchmarks/earlier.py d49495b --out benchmarks/results/earlier.csv

The commit is checked out beside this one, in a folder of its own that is removed. Every model and size of
`benchmarks/step.py` is built by both in a process each, which take turns of a fraction of a second on one
thread, so that both meet what else the machine does.
"""

import argparse
import importlib
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.checkouts import ROOT, checked_out, import_from

TURN_SECONDS = 0.4
WARM_STEPS = 3


def _work() -> Any:
    """Return the module of packs at work, which had another name before."""
    try:
        return importlib.import_module("sweeps.worker.work")
    except ImportError:
        return importlib.import_module("sweeps.pack_work")


def serve(checkout: str, text: str) -> int:
    """Build a pack with the code of a checkout; each line of standard input is the length of a turn."""
    import_from(checkout)
    import torch

    import search_spaces
    from ouvae.data import load

    try:
        from ouvae.training.pack import PackTraining

        _work().keep_freed_memory()
    except ImportError:  # as it was called before
        from ouvae.pack import Pack as PackTraining  # type: ignore[no-redef,import-not-found]
    torch.set_num_threads(1)
    request = json.loads(text)
    keys = search_spaces.Space.model_fields  # a key that a commit does not have is neutral there
    settings = [setting for setting in request["settings"] if setting.partition("=")[0] in keys]
    cell = search_spaces.load(request["space"], settings).cells()[0]
    rho = torch.linspace(0.5, 1, request["members"]).tolist()
    members = [(value, 0 if request["one_seed"] else seed) for seed, value in enumerate(rho)]
    pack = PackTraining(cell, members, load(cell.dataset, download=False))
    for _ in range(WARM_STEPS):
        pack.train_step()
    print(json.dumps(0.0), flush=True)
    for line in sys.stdin:
        steps, started, spent = 0, time.perf_counter(), 0.0
        while spent < float(line):
            pack.train_step()
            steps, spent = steps + 1, time.perf_counter() - started
        print(json.dumps(spent / steps), flush=True)
    return 0


class Side:
    """A pack in a process; `times` are the seconds of a step in each turn."""

    def __init__(self, stack: ExitStack, checkout: Path, request: dict[str, Any]) -> None:
        command = [sys.executable, "-P", __file__, "--serve", str(checkout), json.dumps(request)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self._process = stack.enter_context(subprocess.Popen(command, cwd=checkout, **pipes))  # type: ignore[call-overload]
        self._read()
        self.times: list[float] = []

    def take_turn(self) -> None:
        """Let it train for a turn."""
        self._process.stdin.write(f"{TURN_SECONDS}\n")
        self._process.stdin.flush()
        self.times.append(self._read())

    @property
    def seconds(self) -> float:
        """Of a step: the median over turns."""
        return statistics.median(self.times)

    def _read(self) -> float:
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("a process ended, see above")
        return float(json.loads(line))


def compare(earlier: Path, request: dict[str, Any], turns: int) -> tuple[float, float]:
    """Return the seconds of a step, earlier and today."""
    with ExitStack() as stack:
        sides = [Side(stack, checkout, request) for checkout in (earlier, ROOT)]
        for turn in range(turns):
            for side in sides if turn % 2 else reversed(sides):
                side.take_turn()
        return sides[0].seconds, sides[1].seconds


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    given_here = list(sys.argv[1:] if arguments is None else arguments)
    if given_here[:1] == ["--serve"]:
        return serve(*given_here[1:])
    # not before `serve` has said whose code is imported
    from benchmarks.report import machine, print_row, write_rows
    from benchmarks.step import MODELS

    names = [
        name
        for name, (_, settings) in MODELS.items()
        if not any(setting.startswith("variants") for setting in settings)
    ]
    parser = argparse.ArgumentParser(prog="earlier.py", description=(__doc__ or "").split("\n", 1)[0])
    add = parser.add_argument
    add("commit", help="to compare with")
    add("--models", nargs="+", choices=names, default=names, metavar="MODEL", help=f"of {', '.join(names)}")
    add("--members", nargs="+", type=int, default=[1, 12, 48], metavar="P", help="sizes of packs")
    add("--one-seed", action="store_true", help="all members of a pack have one seed")
    add("--turns", type=int, default=9, metavar="N", help="of each, default 9")
    add("--out", type=Path, metavar="CSV", help="write the rows there too")
    given = parser.parse_args(given_here)
    rows: list[dict[str, Any]] = []
    with checked_out(given.commit) as earlier:
        for model in given.models:
            space, settings = MODELS[model]
            endless = ["steps=1000000000", "eval_every=1000000000", "eval_images=2"]
            for members in given.members:
                request = {"space": space, "settings": [*settings, *endless], "members": members}
                before, now = compare(earlier, request | {"one_seed": given.one_seed}, given.turns)
                rows.append(
                    {
                        "model": model,
                        "members": members,
                        "seeds": 1 if given.one_seed else members,
                        "ms_earlier": round(1e3 * before, 3),
                        "ms": round(1e3 * now, 3),
                        "member_steps_per_s_earlier": round(members / before, 1),
                        "member_steps_per_s": round(members / now, 1),
                        "ratio": round(before / now, 3),
                        "earlier": given.commit,
                    }
                )
                print_row(rows[-1])
    if given.out:
        write_rows(given.out, rows, machine())
    return 0


if __name__ == "__main__":
    sys.exit(main())
