"""The figures of a run: order parameters against the control parameter, top-layer KL during training.

    python analysis/figures.py RUN [--out DIR]

RUN is the folder of a run. The figures go to RUN/figures, or to DIR, as .png and .svg:
`order_parameters` shows the curves of each cell, by default its top-layer KL over its top-layer
information, each with its critical value; `training` the top-layer KL against the optimizer step, one line a
member, so that the drift of the transition with the budget is seen; `phase_diagram` critical values against
the size of the latents, as `analysis/phase_diagram.py` does for several runs together; `sheet_CELL` images of
a cell's members: reconstructions, samples and the top layer traversed. Thresholds are computed from the
members by the run's own rule, as for its own table.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from analysis.command import run_script
from analysis.tables.replacing import user_path
from ouvae.declared import ORDER_PARAMETERS


def write_figures(run: str | Path, out: str | Path | None = None) -> list[Path]:
    """Write the figures of a run to `out`, by default its folder `figures`; return their paths.

    Those with a panel per cell show `MOST_CELLS` cells, the first ones.
    Raises TableError if the members or the history cannot be read, with the problems of both, and
    before anything is written.
    """
    # Imported only now: a shell that completes the command waits for none of it.
    from analysis.charts.cells import chart_cells
    from analysis.charts.curves import order_parameters
    from analysis.charts.phases import phase_diagram
    from analysis.charts.sheets import sheet
    from analysis.charts.training import training
    from analysis.results import read_results

    (results,) = read_results([run])
    cells = chart_cells([results])
    charts = [order_parameters(cells), training(cells)]
    order = ORDER_PARAMETERS[cells[0].rows[0]["order_parameter"]]
    if any(cell.rows[0]["status"] != "unresolved" for cell in cells):
        charts.append(phase_diagram(cells, order))
    charts += [drawn for cell in cells if cell.look is not None and (drawn := sheet(cell)) is not None]
    folder = results.folder / "figures" if out is None else out
    paths = [path for chart in charts for path in chart.save_in(folder)]
    for problem in results.sheet_problems.values():
        print(f"note: images are left out: {problem}", file=sys.stderr)
    return paths


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Draw the figures of a run.")
    parser.add_argument("run", type=user_path, metavar="RUN", help="folder of a run")
    parser.add_argument(
        "--out", type=user_path, metavar="DIR", help="folder to write to (default: RUN/figures)"
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the script; return its exit code, 2 after a TableError."""
    return run_script(_parser(), argv, lambda arguments: write_figures(arguments.run, arguments.out))


if __name__ == "__main__":
    sys.exit(main())
