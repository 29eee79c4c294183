"""The thresholds of runs as a table for a paper or a page: LaTeX, Markdown, CSV, HTML."""

import csv
import html
import io
import re
from collections.abc import Callable, Mapping, Sequence

from analysis.tables.schema import Row
from analysis.text.lines import threshold_lines
from analysis.text.words import aligned, cell_names
from ouvae.declared import CONTROLS

_LATEX = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    **{"~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "\\": r"\textbackslash{}"},
    **{"ρ": r"$\rho$", "β": r"$\beta$", "±": r"$\pm$", "−": "$-$"},
}

_SIGNED = re.compile(r"(?<![\w.])[-+](?=\d)[\d.]+")

_GREEK = {"ρ": r"\rho", "β": r"\beta", "σ": r"\sigma", "λ": r"\lambda", "η": r"\eta", "²": "^2"}

_LATEX_HEADS = {
    f"{name}_c": "".join(_GREEK.get(letter, letter) for letter in control.symbol).join(("$", "_c$"))
    for name, control in CONTROLS.items()
    if "_" not in control.symbol
}
"""Heads of critical values as formulas."""


class PrintedTable:
    """A table of texts. A notebook shows it, and `print` aligns its columns.

    Args:
        head: names of the columns.
        lines: texts of each row.

    Examples:
        >>> from analysis import load
        >>> print(load("runs/digits").table().to_markdown())
        | cell | order parameter | rho_c | interval | spread | seeds | members |
        | --- | --- | --- | --- | --- | --- | --- |
        | digits mlp 8,8 | kl_top | 0.875 | [0.770, 0.980] 95% | -0.055 +0.055 | 3 (3 resolved) | 33 |
        | digits mlp 16,16 | kl_top | 0.725 | [0.620, 0.830] 95% | -0.055 +0.055 | 3 (3 resolved) | 33 |
    """

    def __init__(self, head: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
        """Take the texts."""
        self.head, self.lines = list(head), [list(line) for line in lines]

    def to_latex(self) -> str:
        """Return a LaTeX `tabular` with the rules of the package booktabs."""
        head = [_LATEX_HEADS.get(name, _latex(name)) for name in self.head]
        rows = [[_latex(text) for text in line] for line in self.lines]
        body = "\n".join(f"{' & '.join(row)} \\\\" for row in rows)
        return (
            f"\\begin{{tabular}}{{{'l' * len(head)}}}\n\\toprule\n{' & '.join(head)} \\\\\n\\midrule\n"
            f"{body}\n\\bottomrule\n\\end{{tabular}}"
        )

    def to_markdown(self) -> str:
        """Return a table of Markdown."""
        lines = [self.head, ["---"] * len(self.head), *self.lines]
        return "\n".join(
            f"| {' | '.join(text.replace('|', chr(92) + '|') for text in line)} |" for line in lines
        )

    def to_csv(self) -> str:
        """Return lines of comma-separated texts; for numbers see `analysis.tables.flat.write_csv`."""
        file = io.StringIO()
        csv.writer(file, lineterminator="\n").writerows([self.head, *self.lines])
        return file.getvalue().rstrip("\n")

    def __str__(self) -> str:
        """Return the table with aligned columns."""
        return "\n".join(aligned([self.head, *self.lines]))

    __repr__ = __str__

    def _repr_html_(self) -> str:
        cells = [[f"<td>{html.escape(text)}</td>" for text in line] for line in self.lines]
        head = "".join(f"<th>{html.escape(name)}</th>" for name in self.head)
        rows = "".join(f"<tr>{''.join(line)}</tr>" for line in cells)
        return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


FORMATS: Mapping[str, Callable[[PrintedTable], str]] = {
    "latex": PrintedTable.to_latex,
    "markdown": PrintedTable.to_markdown,
    "csv": PrintedTable.to_csv,
}
"""How commands print a table, by the name of the format."""


def printed_thresholds(rows: Sequence[Row]) -> PrintedTable:
    """Return rows of a thresholds table, in their order, with a column `run` where they have several."""
    head, *lines = threshold_lines(rows, cell_names(rows))
    hidden = {"status", *["steps"] * (len({row["steps"] for row in rows}) == 1)}
    shown = [place for place, name in enumerate(head) if name not in hidden]
    runs = [row.get("run") for row in rows]
    names = [[str(run)] for run in runs] if len({*runs}) > 1 else [[] for _ in runs]
    return PrintedTable(
        [*["run"] * (len({*runs}) > 1), *(head[place] for place in shown)],
        [[*name, *(line[place] for place in shown)] for name, line in zip(names, lines, strict=True)],
    )


def _latex(text: str) -> str:
    """Return a text for LaTeX, with its signed numbers as formulas."""
    escaped = "".join(_LATEX.get(character, character) for character in text)
    return _SIGNED.sub(lambda number: f"${number.group()}$", escaped)
