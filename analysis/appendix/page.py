"""One HTML page with every table and figure of the paper's appendix beside ours.

The page needs nothing but itself: styles and figures are inside, there are no scripts, and every text
is escaped.
"""

import base64
from collections.abc import Iterable, Sequence
from html import escape

from analysis.appendix.claims import FAILS, HOLDS, Claim, Evidence
from analysis.appendix.compare import ComparedRow, published_value
from analysis.appendix.page_style import CSS
from analysis.appendix.published import FIGURES, TABLES, PublishedTable
from analysis.appendix.runs import settings, short_budget
from analysis.appendix.sections import Section, svg, title_of
from analysis.appendix.text import evidence_text, measured_text, published_text, summary, wanted_text

_TITLE = "The paper's appendix beside our runs"
_CURVES = "Ours: thin lines are seeds, bold lines their means; marks above are ρ_c with its interval."
_CAPTIONS = {
    "table": "Ours beside the published numbers.",
    "figure4": "Ours: geometric means over seeds, on a logarithmic scale.",
    "figure5": _CURVES,
    "figure6": _CURVES,
}
_SIGNS = {HOLDS: ("holds", "✓"), FAILS: ("fails", "✗")}


def render(sections: Sequence[Section], budget: str) -> str:
    """Return the page of some sections, in their order; `budget` is the one that the runs were asked for."""
    run = [section for section in sections if not section.run.missing]
    intro = (
        "Published numbers: Pervez and Gavves, Spectral Smoothing Unveils Phase Transitions in "
        "Hierarchical Variational Autoencoders, ICML 2021, appendix A. Ours are means over seeds (in table 9 "
        "over rounds of timing) with Student's 95 % interval in brackets; active units go top to bottom. "
        f"Runs of the budget {budget}: {len(run)} of {len(sections)} tables and figures. "
        "A small budget says little about a million steps: each number of ours stands beside its own budget."
    )
    body = [
        f"<header><h1>{escape(_TITLE)}</h1><p>{escape(intro)}</p></header>",
        _contents(sections),
        _summary(sections),
        *map(_section, sections),
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(_TITLE)}</title>\n<style>\n{CSS}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(body)
        + "\n</main>\n</body>\n</html>\n"
    )


def _contents(sections: Sequence[Section]) -> str:
    items = [f'<li><a href="#{s.name}">{escape(s.heading)}</a>{_absent(s)}</li>' for s in sections]
    return (
        '<nav aria-label="Contents"><h2>Contents</h2><ul><li><a href="#claims">Claims</a></li>'
        f"{''.join(items)}</ul></nav>"
    )


def _absent(section: Section) -> str:
    return ' <span class="small">(not run)</span>' if section.run.missing else ""


def _summary(sections: Sequence[Section]) -> str:
    claims = [(section, claim) for section in sections for claim in section.claims]
    lines = [
        f'<tr><td><a href="#{section.name}">{escape(title_of(section.name))}</a></td>'
        f'<td>{_index(claim.statement)}<div class="small">{escape(claim.basis)}</div></td>'
        f"<td>{_verdict(claim.verdict)}</td><td>{_numbers(claim)}"
        f'<div class="small">{escape(short_budget(section.run))}</div></td></tr>'
        for section, claim in claims
    ]
    note = (
        "A claim holds when the whole interval of each of its numbers lies where the claim wants it, and "
        "does not hold when all of one interval lies outside. Otherwise, and with one seed, there is not "
        "enough data."
    )
    return (
        f'<section id="claims"><h2>Claims</h2><p>{escape(note)}</p>'
        + _table(["where", "claim", "verdict", "numbers"], lines, "claims")
        + "</section>"
    )


def _numbers(claim: Claim) -> str:
    line = _signed(summary(claim))
    if claim.missing or len(claim.evidence) < 2:
        return _missing(claim.missing) if claim.missing else line
    lines = [_evidence(piece) for piece in claim.evidence]
    return f"<details><summary>{line}</summary>{_table(['number', 'ours', 'wanted', ''], lines)}</details>"


def _evidence(piece: Evidence) -> str:
    why = f'<div class="small">{escape(piece.why)}</div>' if piece.why else ""
    return (
        f"<tr><td>{_signed(piece.what)}</td><td>{_signed(evidence_text(piece))}</td>"
        f"<td>{_signed(wanted_text(piece))}</td><td>{_verdict(piece.verdict)}{why}</td></tr>"
    )


def _verdict(verdict: str) -> str:
    kind, sign = _SIGNS.get(verdict, ("open", "?"))
    return f'<span class="verdict {kind}"><span aria-hidden="true">{sign}</span> {escape(verdict)}</span>'


def _missing(command: str) -> str:
    return f'<span class="missing">not run: <code>{escape(command)}</code></span>'


def _section(section: Section) -> str:
    parts = [f'<section id="{section.name}"><h2>{escape(section.heading)}</h2>']
    if section.name in FIGURES:
        parts.append(f"<p><b>Published figure.</b> {escape(FIGURES[section.name].shows)}</p>")
    if section.run.missing:
        parts.append(f'<p class="notice">{_missing(section.run.missing)}</p>')
    if section.name in TABLES:
        parts.append(_comparison(TABLES[section.name], section.rows))
    parts += [
        f'<p class="claim">{_verdict(claim.verdict)} {_index(claim.statement)}</p>'
        for claim in section.claims
    ]
    if section.cells:
        head, *lines = section.cells
        parts.append(_table(head, [_cells(line) for line in lines], "cells"))
    if section.figure is not None:
        parts.append(_image(section))
    elif not section.run.missing:
        parts.append('<p class="notice">The run has nothing to draw.</p>')
    parts.append(_settings(section))
    return "\n".join([*parts, "</section>"])


def _comparison(table: PublishedTable, rows: Sequence[ComparedRow]) -> str:
    """The published table with ours beside it, two columns a quantity."""
    heads = "".join(
        f'<th scope="colgroup" colspan="2">{_index(column.header)}</th>' for column in table.columns
    )
    pairs = '<th scope="col" class="published">published</th><th scope="col" class="ours">ours</th>'
    head = (
        f'<tr><th scope="col" rowspan="2">Model</th>{heads}<th scope="colgroup" colspan="2">Budget</th></tr>'
        f"<tr>{pairs * (len(table.columns) + 1)}</tr>"
    )
    lines = []
    for row in rows:
        cells = [f'<th scope="row">{escape(row.published.label)}</th>']
        for column in table.columns:
            published = published_text(published_value(table, row.published, column))
            number, interval = measured_text(column, row.ours[column.key])
            detail = f'<div class="small">{_signed(interval)}</div>' if interval else ""
            cells.append(f'<td class="published">{_signed(published)}</td>')
            cells.append(f'<td class="ours">{_signed(number)}{detail}</td>')
        budget = escape(row.budget) if row.budget else "not in the run"
        cells.append(f'<td class="published small">{escape(table.budget)}</td>')
        cells.append(f'<td class="ours small">{budget}</td>')
        lines.append(f"<tr>{''.join(cells)}</tr>")
    note = f'<p class="small">{_index(table.note)}</p>' if table.note else ""
    return _scrolled(f"<table><thead>{head}</thead><tbody>{''.join(lines)}</tbody></table>", "numbers") + note


def _image(section: Section) -> str:
    assert section.figure is not None
    data = base64.b64encode(svg(section.figure)).decode()
    kind = "table" if section.name in TABLES else section.name
    width = round(section.figure.get_figwidth() * 110)
    return (
        f'<figure><img width="{width}" alt="{escape(section.heading)}. {escape(_CAPTIONS[kind])}" '
        f'src="data:image/svg+xml;base64,{data}"><figcaption>{_index(_CAPTIONS[kind])}</figcaption></figure>'
    )


def _settings(section: Section) -> str:
    items = "".join(
        f"<div><dt>{escape(word)}</dt><dd>{_index(text)}</dd></div>" for word, text in settings(section.run)
    )
    return f'<dl class="settings">{items}</dl>' if items else ""


def _table(head: Iterable[str], lines: Iterable[str], kind: str = "plain") -> str:
    cells = "".join(f'<th scope="col">{_index(text)}</th>' for text in head)
    return _scrolled(f"<table><thead><tr>{cells}</tr></thead><tbody>{''.join(lines)}</tbody></table>", kind)


def _cells(texts: Iterable[str]) -> str:
    return "<tr>" + "".join(f"<td>{_signed(text)}</td>" for text in texts) + "</tr>"


def _scrolled(table: str, kind: str) -> str:
    return f'<div class="scroll {kind}">{table}</div>'


def _signed(text: str) -> str:
    """Escaped text in which a hyphen before a digit, at the start of a number, is a minus sign."""
    words = [f"\u2212{w[1:]}" if w[:1] == "-" and w[1:2].isdigit() else w for w in text.split(" ")]
    words = [f"[\u2212{w[2:]}" if w.startswith("[-") else w for w in words]
    return _index(" ".join(words)) if text != "-" else "\u2013"


def _index(text: str) -> str:
    """Escaped text in which `L_100` and `ρ_c` have indices."""
    words = escape(text).split("_")
    joined = words[0]
    for before, word in zip(words, words[1:], strict=False):
        size = len(word) - len(word.lstrip("0123456789")) or int(word[:1] in ("c", "k"))
        if before[-1:] in ("L", "ρ") and size and not word[size : size + 1].isalnum():
            joined += f"<sub>{word[:size]}</sub>{word[size:]}"
        else:
            joined += f"_{word}"
    return joined
