"""Tables for papers: what is special in LaTeX, Markdown and HTML stays what it is."""

import csv
import io

from analysis.statistics.summary import thresholds_table
from analysis.text.printed import PrintedTable, printed_thresholds
from tests.analysis.conftest import RULE

TABLE = PrintedTable(["cell", "rho_c"], [["a_b 50% β=1 | x", "0.940"], ["<c> & {d}", "-0.003 +0.003"]])


def test_latex_escapes_what_is_special_and_sets_numbers_as_formulas():
    lines = TABLE.to_latex().splitlines()
    assert lines[2] == r"cell & $\rho_c$ \\"
    assert lines[4] == r"a\_b 50\% $\beta$=1 | x & 0.940 \\"
    assert lines[5] == r"<c> \& \{d\} & $-0.003$ $+0.003$ \\"


def test_markdown_csv_and_html_keep_the_texts():
    assert TABLE.to_markdown().splitlines()[2] == r"| a_b 50% β=1 \| x | 0.940 |"
    assert list(csv.reader(io.StringIO(TABLE.to_csv()))) == [TABLE.head, *TABLE.lines]
    assert "<td>&lt;c&gt; &amp; {d}</td>" in TABLE._repr_html_()
    assert str(TABLE).splitlines()[0] == "cell             rho_c"


def test_rows_of_several_runs_are_named(make_members):
    rows = thresholds_table(make_members({(8, 8): [0.7], (4, 4): [0.9]}), RULE).to_pylist()
    one = printed_thresholds(rows)
    several = printed_thresholds([row | {"run": name} for row, name in zip(rows, "ab", strict=True)])
    assert several.head == ["run", *one.head]
    assert several.lines == [["a", *one.lines[0]], ["b", *one.lines[1]]]
    assert one.lines[0][:3] == ["digits mlp 8,8", "kl_top", "0.675"]
