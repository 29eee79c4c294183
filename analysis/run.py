"""A run in Python: its tables as frames, its curves and its chart, and how two runs compare.

Examples:
    >>> from analysis import compare, load
    >>> run = load("runs/digits")
    >>> run.members.groupby("latents", sort=False)["kl_top_nats"].max().round(2)
    latents
    8,8      4.1
    16,16    2.6
    Name: kl_top_nats, dtype: float64
"""

import glob
import os
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from analysis import TableError
from analysis.results import Results
from analysis.statistics.curves import curves
from analysis.tables.files import table_path
from analysis.tables.flat import flat, pandas_frame, seed_thresholds
from ouvae.declared import ORDER_PARAMETERS
from ouvae.declared.controls import RHO
from ouvae.declared.order_parameters import PAPERS

if TYPE_CHECKING:
    import polars as pl

    from analysis.charts.chart import Chart
    from analysis.text.printed import PrintedTable

Frame = TypeVar("Frame")


class Tables(Generic[Frame]):
    """The tables of one run, or of several runs concatenated, as frames of one kind.

    The first column of each is `run`, the name of the run's folder; the others are described in
    `analysis.tables.schema`. Thresholds and comparisons are computed from the members by the rule of their
    run. A table is computed once and kept: load the run again to see what a sweep has written since.

    Reading a table raises TableError as `read_members`, `read_history` and `read_rule` do.
    """

    def __init__(self, runs: Mapping[str, Results], frame: Callable[[pa.Table], Frame]) -> None:
        self._runs = runs
        self._frame = frame

    @cached_property
    def members(self) -> Frame:
        """One row per member: settings, `control` and `value`, seed, status, and metrics after training."""
        return self._together(lambda results: results.members)

    @cached_property
    def history(self) -> Frame:
        """One row per member and evaluation during training."""
        return self._together(lambda results: results.history)

    @cached_property
    def thresholds(self) -> Frame:
        """One row per cell and order parameter: critical value, interval, spread of the realisations."""
        return self._together(lambda results: results.thresholds)

    @cached_property
    def seeds(self) -> Frame:
        """One row per cell, order parameter and seed: the threshold of the realisation."""
        return self._together(lambda results: seed_thresholds(results.thresholds))

    @cached_property
    def comparisons(self) -> Frame:
        """One row per order parameter and pair of cells: how critical values differ.

        The cells are of one run and differ in one key.
        """
        return self._together(lambda results: results.comparisons)

    def _together(self, table: Callable[[Results], pa.Table]) -> Frame:
        named = [_with_name("run", name, table(results)) for name, results in self._runs.items()]
        return self._frame(pa.concat_tables(named))


def _with_name(column: str, name: str, table: pa.Table) -> pa.Table:
    """Return a table with a first column that holds the name of a run."""
    metadata = {"unit": "none", "description": "name of the run's folder"}
    field = pa.field(column, pa.string(), nullable=False, metadata=metadata)
    return table.add_column(0, field, pa.repeat(name, table.num_rows))


class Run(Tables[pd.DataFrame]):
    """A run, or several together: its tables as pandas frames.

    Frames have no lists: `latents` is text, beside the columns `latent_1`, …, `latent_top`, and what is
    measured of each layer has a column per layer (`analysis.tables.flat`). `arrow` and `polars` hold the same
    tables.

    Examples:
        >>> from analysis import load
        >>> run = load("runs/digits")
        >>> run
        load('runs/digits')
        >>> run.members.query("rho == 0.5").groupby("latent_top")["kl_top_nats"].mean().round(2)
        latent_top
        8     3.77
        16    2.30
        Name: kl_top_nats, dtype: float64
    """

    def __init__(self, runs: Mapping[str, Results]) -> None:
        super().__init__(runs, pandas_frame)

    def __repr__(self) -> str:
        return f"load({', '.join(repr(str(results.path)) for results in self._runs.values())})"

    @cached_property
    def arrow(self) -> Tables[pa.Table]:
        """The tables as they are in Arrow, with lists of an entry per layer, z_1 first.

        Examples:
            >>> from analysis import load
            >>> load("runs/digits").arrow.members["latents"][0].as_py()
            [8, 8]
        """
        return Tables(self._runs, lambda table: table)

    @cached_property
    def polars(self) -> "Tables[pl.DataFrame]":
        """The tables as polars frames, without lists. Raises ImportError where polars is not installed.

        Examples:
            >>> from analysis import load
            >>> load("runs/digits").polars.thresholds.select("cell", "critical_value").row(0)[0]
            'digits mlp 8,8'
        """
        try:
            import polars
        except ImportError as error:
            raise ImportError(
                "polars is not installed; pip install polars, or take the pandas frames: run.members for "
                "run.polars.members"
            ) from error
        return Tables(self._runs, lambda table: polars.DataFrame(flat(table)))

    def curves(self, cell: str, order_parameter: str = PAPERS) -> pd.DataFrame:
        """Return an order parameter at the end of training: a row per seed and value, ascending.

        The columns are named as the control parameter and as the metric in the members table. Members without
        a value are left out.

        Args:
            cell: its label or its cell_id; if several runs have the cell, the curves of all are returned.
            order_parameter: one of `ouvae.declared.ORDER_PARAMETERS`.

        Raises:
            TableError: for an order parameter or a cell that is not there, and a label that several cells
                have; as `analysis.statistics.curves.curves` does.

        Examples:
            >>> from analysis import load
            >>> run = load("runs/digits")
            >>> print(run.curves("digits mlp 16,16").head(3).round(2).to_string(index=False))
               run             cell  seed  rho  kl_top_nats
            digits digits mlp 16,16     0 0.50          2.3
            digits digits mlp 16,16     0 0.55          1.8
            digits digits mlp 16,16     0 0.60          1.3
        """
        if order_parameter not in ORDER_PARAMETERS:
            names = ", ".join(ORDER_PARAMETERS)
            raise TableError(f"no order parameter {order_parameter!r}; choose from {names}")
        order = ORDER_PARAMETERS[order_parameter]
        cell_id = self._cell_id(cell)
        rows, control = [], RHO
        for name, results in self._runs.items():
            members = results.members.filter(pc.field("cell_id") == cell_id)
            control = members["control"][0].as_py() if members.num_rows else control
            for seed, curve in curves(members, order).get(cell_id, {}).items():
                head = name, members["cell"][0].as_py(), seed
                rows += [(*head, *point) for point in zip(*curve, strict=True)]
        return pd.DataFrame(rows, columns=["run", "cell", "seed", control, order.curve])

    def table(self) -> "PrintedTable":
        """Return the thresholds with their intervals as a table of texts, for a paper or a page.

        A notebook shows it; `to_latex`, `to_markdown` and `to_csv` return it as text.

        Examples:
            >>> from analysis import load
            >>> print(load("runs/digits").table().to_markdown().splitlines()[2])
            | digits mlp 8,8 | kl_top | 0.875 | [0.770, 0.980] 95% | -0.055 +0.055 | 3 (3 resolved) | 33 |
        """
        from analysis.text.printed import printed_thresholds

        return printed_thresholds(self.arrow.thresholds.to_pylist())

    def plot(self) -> "Chart":
        """Return the chart of the transitions: the order parameters of each cell, with critical values.

        It is `order_parameters` of `analysis/figures.py`. A notebook shows it; `save` writes it as SVG, PNG
        or PDF.

        Raises:
            TableError: for several runs that share a cell or do not watch the same order parameters.

        Examples:
            >>> from analysis import load
            >>> load("runs/digits").plot().save("transitions.pdf")
            PosixPath('transitions.pdf')
        """
        from analysis.charts.cells import chart_cells
        from analysis.charts.curves import order_parameters

        self._check_one_figure()
        return order_parameters(chart_cells(list(self._runs.values())))

    def _check_one_figure(self) -> None:
        """Raise TableError unless each cell is of one run, and all runs watch the same order parameters."""
        thresholds = self.arrow.thresholds.select(["run", "cell_id", "cell", "order_parameter"])
        runs: dict[str, dict[str, str]] = {}
        watched: dict[str, list[str]] = {}
        for run, cell_id, cell, order in zip(*thresholds.to_pydict().values(), strict=True):
            runs.setdefault(cell_id, {})[run] = cell
            if order not in watched.setdefault(run, []):
                watched[run].append(order)
        problems = [
            f"{next(iter(names.values()))} is in {', '.join(names)}"
            for names in runs.values()
            if len(names) > 1
        ]
        if len({tuple(sorted(names)) for names in watched.values()}) > 1:
            problems += [f"{run} watches {', '.join(names)}" for run, names in watched.items()]
        if problems:
            listed = "\n".join(f"  - {problem}" for problem in problems)
            raise TableError(f"the runs do not fit into one figure; draw each by itself:\n{listed}")

    def _cell_id(self, cell: str) -> str:
        """Return the cell that is meant by its label or its cell_id."""
        columns = self.arrow.members.select(["cell_id", "cell"]).to_pydict()
        cells: dict[tuple[str, str], None] = dict.fromkeys(zip(*columns.values(), strict=True))
        ids = {cell_id for cell_id, label in cells if cell in (cell_id, label)}
        if len(ids) == 1:
            return ids.pop()
        listed = "\n".join(f"  - {label}, cell_id {cell_id}" for cell_id, label in cells)
        what = f"{len(ids)} cells are {cell!r}; choose by cell_id" if ids else f"no cell {cell!r}; choose"
        raise TableError(f"{what} from:\n{listed}")


def load(*runs: str | Path | Iterable[str | Path]) -> Run:
    """Load a run, or several together.

    Args:
        runs: the folder that a sweep wrote, its members.parquet, or a pattern such as `runs/*`, which means
            the folders of that name with a members.parquet; several of them, or lists of them. A run that is
            named twice is loaded once.

    Raises:
        TableError: if there is no such run. Its tables raise it when they are read, see `Tables`.

    Examples:
        >>> from analysis import load
        >>> run = load("runs/*")
        >>> run.thresholds.groupby("run")["critical_value"].median().round(2).to_dict()
        {'digits': 0.8, 'digits_k10': 0.7}
    """
    patterns = [
        pattern for given in runs for pattern in ([given] if isinstance(given, str | Path) else given)
    ]
    if not patterns:
        raise TableError("load takes the folder of a run or several, found none")
    paths = {path.resolve(): path for pattern in patterns for path in _paths(pattern)}
    names = [(path.parent if path.is_file() else path).name for path in paths]
    return Run(
        {
            name if names.count(name) == 1 else str(path): Results(path)
            for name, path in zip(names, paths.values(), strict=True)
        }
    )


def _paths(run: str | Path) -> list[Path]:
    """Return the runs that a path or a pattern means; a path that exists is not taken as a pattern."""
    run = os.path.expanduser(run)
    path = Path(run)
    if not path.exists() and any(character in str(run) for character in "*?["):
        matches = sorted(map(Path, glob.glob(str(run), recursive=True)))
        if runs := [folder for folder in matches if (folder / "members.parquet").is_file()]:
            return runs
        others = ", ".join(map(str, matches)) or "nothing"
        raise TableError(
            f"no folder {run} holds a members.parquet (found: {others}); give the folders that sweeps wrote"
        )
    if path.is_dir() and not (path / "members.parquet").exists() and any(path.glob("*/members.parquet")):
        raise TableError(f"{run} holds no members.parquet, and runs below it do; load them with '{path}/*'")
    table_path(path, "members")
    return [path]


def compare(first: Run, second: Run) -> pd.DataFrame:
    """Return how critical values differ between corresponding cells of two runs, as `Run.comparisons` does.

    Two cells correspond if they agree in all keys, except for the keys that tell the runs apart: keys with
    one value in the first run and one other value in the second. For example, the first run has K = 5 draws
    and the second K = 10, both at several sizes: cells of the same size correspond. If the runs differ in
    seeds only, `differs_in` is `none`. The rule of the first run (active level, confidence, margin) applies
    to both. Cells are taken as independent, as in comparisons within a run.

    Raises:
        TableError: if either holds several runs, they share members, or no cells correspond; as `Tables`.

    Examples:
        >>> from analysis import compare, load
        >>> found = compare(load("runs/digits"), load("runs/digits_k10"))
        >>> found[["first_cell", "differs_in", "difference", "verdict"]].round(2)
                 first_cell  differs_in  difference    verdict
        0    digits mlp 8,8  ou_samples         0.1  undecided
        1  digits mlp 16,16  ou_samples         0.1  undecided
    """
    return pandas_frame(compared(first, second))


def compared(first: Run, second: Run) -> pa.Table:
    """Return what `compare` does, as an Arrow table. Raises as `compare`."""
    if len(first._runs) > 1 or len(second._runs) > 1:
        raise TableError(f"compare takes two runs, found {first} and {second}; load them one by one")
    ((first_name, results),) = first._runs.items()
    ((second_name, other),) = second._runs.items()
    if shared := results.shared_members(other):
        raise TableError(
            f"{first} and {second} have {shared} members in common, so that what they say is not "
            "independent; sweep one of them with other seeds"
        )
    comparisons = results.summary.comparisons_with(other.members)
    if not comparisons.num_rows:
        raise TableError(
            f"no cell of {first} corresponds to one of {second}: cells that do agree in all keys but those "
            "in which each run has one value; sweep the same cells in both"
        )
    return _with_name("first_run", first_name, _with_name("second_run", second_name, comparisons))
