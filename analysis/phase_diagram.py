"""The phase diagram of one run or several: the critical value against the size of the latents.

    python analysis/phase_diagram.py RUN... [--order-parameter NAME] [--out DIR]
    python analysis/phase_diagram.py RUN... --against KEY [--out DIR]

Above, a panel for each model but for its latents: the critical value with its interval against the size of
the top layer, a line per depth; a median that lies beyond what was trained is a triangle. Below, a map for
each depth: the order parameter, its mean over seeds, over both, with the critical value as an upright.
Written as phase_diagram.png and .svg to the folder `figures` of the run, of several runs to the folder that
holds the first, or to DIR. Cells of several runs stand side by side, each by the rule of its own run.

With `--against`, critical values are drawn against a key in which cells differ, such as another control
parameter, a panel per order parameter, as phase_diagram_KEY. `--against unit` draws those of the units of the
top layer, the order parameters kl_top_unit_1, kl_top_unit_2, ..., in one panel.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from analysis import TableError
from analysis.command import run_script
from analysis.tables.replacing import user_path
from ouvae.declared import ORDER_PARAMETERS

if TYPE_CHECKING:
    from analysis.results import Results


def write_phase_diagram(
    runs: Sequence[str | Path], order: str | None = None, out: str | Path | None = None
) -> list[Path]:
    """Draw the phase diagram of runs and return the paths of its files.

    `order` names the order parameter; None is the first that the first run watches. Raises TableError where a
    run cannot be read or does not watch it, and without a threshold to draw.
    """
    # Imported only now: a shell that completes the command waits for none of it.
    from analysis.charts.cells import chart_cells
    from analysis.charts.phases import phase_diagram
    from analysis.results import Results

    results = [Results(path) for path in runs]
    order = order or next(iter(results[0].rules.active_from))
    for run in results:
        if order not in run.rules.active_from:
            raise TableError(
                f"{run.path} has no threshold of {order}; choose from {', '.join(run.rules.active_from)}, or "
                "sweep with it in active_from"
            )
    folder = _folder(results) if out is None else out
    return phase_diagram(chart_cells(results), ORDER_PARAMETERS[order]).save_in(folder)


def write_boundaries(runs: Sequence[str | Path], against: str, out: str | Path | None = None) -> list[Path]:
    """Draw critical values against a key and return the paths of the files. Raises TableError."""
    from analysis.charts.boundaries import boundaries
    from analysis.charts.cells import chart_cells
    from analysis.results import Results

    results = [Results(path) for path in runs]
    return boundaries(chart_cells(results), against).save_in(_folder(results) if out is None else out)


def _folder(results: Sequence["Results"]) -> Path:
    """Return the folder of the figures of one run or several."""
    first = results[0].folder
    return first / "figures" if len(results) == 1 else first.parent


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Draw the phase diagram of one run or several.")
    parser.add_argument("runs", type=user_path, metavar="RUN", nargs="+", help="folder of a run")
    parser.add_argument(
        "--order-parameter",
        choices=tuple(ORDER_PARAMETERS),
        help="whose thresholds are drawn (default: the first that the first run watches)",
    )
    parser.add_argument(
        "--against",
        metavar="KEY",
        help="draw critical values against a key in which cells differ: another control parameter, size, "
        "depth, steps, ...; or against unit, those of the units of the top layer",
    )
    parser.add_argument(
        "--out",
        type=user_path,
        metavar="DIR",
        help="folder to write to (default: RUN/figures; of several runs, the folder that holds the first)",
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the script; return its exit code, 2 after a TableError."""
    return run_script(
        _parser(),
        argv,
        lambda arguments: (
            write_boundaries(arguments.runs, arguments.against, arguments.out)
            if arguments.against
            else write_phase_diagram(arguments.runs, arguments.order_parameter, arguments.out)
        ),
    )


if __name__ == "__main__":
    sys.exit(main())
