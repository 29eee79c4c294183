"""The page: whole, escaped, and with all that it has to say."""

import json
import re
from html.parser import HTMLParser

import pytest

from analysis.appendix.claims import HOLDS
from analysis.appendix.exhibits import EXHIBITS, NAMES
from analysis.appendix.text import published_text
from analysis.paper import main, write_page
from analysis.text.markup import signed

SIZES = (40,) * 4


def test_a_page_without_any_run_has_every_published_number(tmp_path, capsys):
    assert main(["all", "--runs", str(tmp_path), "--budget", "paper"]) == 0
    out = capsys.readouterr().out
    page = (tmp_path / "paper.html").read_text()
    for name in NAMES:
        command = f"python sweeps/paper.py {name} --budget paper"
        assert f"{name}: not run: {command}" in out
        assert command in page
    texts = visible(page)
    tables = [exhibit.table for exhibit in EXHIBITS if exhibit.table]
    for row in (row for table in tables for row in table.rows):
        for value in row.values.values():
            assert published_text(value).replace("-", "\u2212") in texts, row.label


def test_a_damaged_run_stops_the_page_before_it_is_written(every_run, capsys):
    (every_run / "table6-quick" / "members.parquet").write_text("no parquet")
    (every_run / "figure4-quick" / "history.parquet").unlink()
    assert main(["all", "--runs", str(every_run)]) == 2
    message = capsys.readouterr().err
    assert "is not a readable parquet file" in message
    assert "holds no history.parquet" in message
    assert not (every_run / "paper.html").exists()


class Page(HTMLParser):
    """Collects what a page consists of; fails on tags that are not closed in order."""

    VOID = frozenset({"meta", "img", "br"})

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.texts, self.links, self.ids, self.tags = [], [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        given = dict(attrs)
        assert len(given) == len(attrs)
        self.ids += [given["id"]] if "id" in given else []
        self.links += [given[key] for key in ("href", "src") if key in given]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "script") and data.strip():
            self.texts.append(" ".join(data.split()))


def visible(page):
    return Page(page).texts


def verdicts(page):
    (text,) = re.findall(r'<script type="application/json" id="verdicts">(.*?)</script>', page, re.DOTALL)
    return json.loads(text)


@pytest.fixture(scope="module")
def kept():
    """Return what holds the page of every run, which takes seconds to write."""
    return {}


@pytest.fixture
def written(every_run, kept):
    """Return the sections and the text of the page of every run."""
    if not kept:
        kept["sections"] = write_page(every_run, "quick", every_run / "paper.html")
        kept["text"] = (every_run / "paper.html").read_text()
    return kept["sections"], kept["text"]


def test_the_page_is_whole_and_needs_nothing_from_outside(written):
    sections, text = written
    assert [section.exhibit.name for section in sections] == list(NAMES)
    page = Page(text)
    assert text.startswith("<!DOCTYPE html>")
    assert len(page.ids) == len(set(page.ids))
    inner = [link for link in page.links if link.startswith("#")]
    assert {link[1:] for link in inner} <= set(page.ids)
    assert {f"#{name}" for name in NAMES} <= set(inner)
    figures = [link for link in page.links if not link.startswith("#")]
    assert len(figures) == len(NAMES)
    assert all(link.startswith("data:image/svg+xml;base64,") for link in figures)
    assert {"link", "iframe"}.isdisjoint(page.tags)
    assert page.tags.count("script") == text.count('<script type="application/json"') == 1
    style = text[text.index("<style>") : text.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style
    assert "prefers-color-scheme: dark" in style


def test_the_page_says_published_numbers_ours_budgets_and_verdicts(every_run, written):
    _, text = written
    section = re.search(r'<section id="table6">.*?</section>', text, re.DOTALL).group()
    row = re.search(r'<tr><th scope="row">VAE</th>.*?</tr>', section, re.DOTALL).group()
    cells = visible(row)
    assert cells[:4] == ["VAE", "\u221286.4", "\u221291.00", "[\u221293.48, \u221288.52]"]
    assert cells[-2:] == ["1,000,000 steps", "3,000 steps, 3 seeds"]
    claims = re.search(r'<section id="claims">.*?</section>', text, re.DOTALL).group()
    figure5 = claims[
        claims.index('<tr><td><a href="#figure5">') : claims.index('<tr><td><a href="#figure6">')
    ]
    assert HOLDS in visible(figure5)
    assert "3,000 steps, 2 seeds" in visible(figure5)
    assert "wanted at most 1.1, published 1.1 (" in claims
    assert "takes 1.05 times as long as one of the IWAE" in text
    assert text == rewritten(every_run)


def rewritten(runs):
    write_page(runs, "quick", runs / "again.html")
    return (runs / "again.html").read_text()


def test_texts_of_the_runs_are_escaped(paper_member, make_members, write_run, tmp_path):
    hostile = "<script>alert('1')</script>&\"_"
    rows = [
        paper_member("table6-quick", SIZES, (1, 3, 9, 17), dataset=hostile, commit=hostile, device=hostile)
    ]
    write_run("table6-quick", rows)
    cells = {(8, 8): [0.8, 0.82], (16, 16): [0.6, 0.6]}
    rows = make_members(cells, space="figure5-quick").to_pylist()
    write_run("figure5-quick", [row | {"cell": f"{row['cell']} {hostile}"} for row in rows])
    write_page(tmp_path / "runs", "quick", tmp_path / "paper.html")
    text = (tmp_path / "paper.html").read_text()
    assert "<script>" not in text
    assert Page(text).tags.count("script") == 1
    assert sum(hostile in shown for shown in visible(text)) >= 3


def test_the_verdicts_are_in_the_page_for_programs(written):
    sections, text = written
    found = verdicts(text)
    assert found == {"budget": "quick", "verdicts": {s.exhibit.name: s.verdicts for s in sections}}
    assert list(found["verdicts"]) == list(NAMES)
    assert found["verdicts"]["figure5"] == HOLDS


def test_a_page_has_the_exhibits_that_have_its_budget(tmp_path):
    sections = write_page(tmp_path, "size", tmp_path / "paper.html")
    assert [section.exhibit.name for section in sections] == ["table6", "choices"]
    assert len(write_page(tmp_path, "my own", tmp_path / "paper.html")) == len(NAMES)


def test_the_page_says_in_words_what_a_run_says(written):
    _, text = written
    section = re.search(r'<section id="choices">.*?</section>', text, re.DOTALL).group()
    assert "These choices give the published picture" in section
    assert '<th scope="col">gives the picture</th>' in section


def test_a_budget_cannot_end_the_verdicts(tmp_path):
    hostile = "</script><b>'\"&"
    write_page(tmp_path, hostile, tmp_path / "paper.html")
    text = (tmp_path / "paper.html").read_text()
    found = verdicts(text)
    assert found["budget"] == hostile
    assert found["verdicts"]["table6"] == f"not run: python sweeps/paper.py table6 --budget {hostile}"
    assert Page(text).tags.count("b") == 4  # of the published figures and the claim alone


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("-", "\u2013"),
        ("-1.5 [-2, -0.5] free-bits", "\u22121.5 [\u22122, \u22120.5] free-bits"),
        ("L_100 and L_k (nats), ρ_c", "L<sub>100</sub> and L<sub>k</sub> (nats), ρ<sub>c</sub>"),
        ("test_kl L_kl ρ_min mnist_fixed <L_5>", "test_kl L_kl ρ_min mnist_fixed &lt;L<sub>5</sub>&gt;"),
    ],
)
def test_numbers_have_minus_signs_and_symbols_indices(text, shown):
    assert signed(text) == shown
