"""The sheet of a cell: data, and what members below, near and above the critical value make of them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from analysis.charts.cells import ChartCell
from analysis.charts.chart import Chart
from analysis.charts.layout import layer
from analysis.charts.looks import BLACK, GREY, Spec
from analysis.charts.strips import data_url, png, strip
from analysis.statistics.scale import Scale
from analysis.tables.schema import Row
from analysis.text.words import estimate
from ouvae.declared import CONTROLS

_PREFIX = "sheet_"

_LABELS = 68  # points beside the rows
_WIDTH = 250  # of the widest row
_GAP, _GROUP_GAP, _TITLE = 3, 7, 12


@dataclass(frozen=True)
class Strip:
    """A row of images: what they are of, in two short lines and in a sentence, and the images as a PNG.

    Attributes:
        label, detail: the two lines; the second may be empty.
        alt: the sentence.
        url: the PNG, as a URL that holds it.
        width, height: of the PNG, in pixels.
    """

    label: str
    detail: str
    alt: str
    url: str
    width: int
    height: int


@dataclass(frozen=True)
class Group:
    """Rows of images of one kind."""

    title: str
    strips: Sequence[Strip]


@dataclass(frozen=True)
class Sheet:
    """The sheet of a cell."""

    cell: ChartCell
    groups: Sequence[Group]

    @property
    def title(self) -> str:
        """The cell and its critical value."""
        return f"{self.cell.name} \u00b7 {estimate(self.cell.rows[0])}"

    @property
    def width(self) -> int:
        """Pixels of the widest row; rows of a small validation split are narrower."""
        return max(strip.width for group in self.groups for strip in group.strips)


def sheet_of(cell: ChartCell) -> Sheet | None:
    """Return the sheet of a cell; None without images of its members."""
    drawn = _shown(cell.results.sheet(cell.cell_id), cell.rows[0])
    if not drawn:
        return None
    first = drawn[0]
    symbol = CONTROLS[cell.rows[0]["control"]].symbol
    data = _strip(first, "images", "validation", "", "images of the validation split")

    def group(title: str, column: str, what: str) -> Group:
        named = [(row, f"{symbol} = {row['value']:.4g}") for row in drawn]
        strips = [_strip(row, column, at, _detail(row, column), f"{what} at {at}") for row, at in named]
        return Group(title, strips)

    return Sheet(
        cell,
        [
            Group("Data", [data]),
            group("Reconstructions", "reconstructions", "their reconstructions"),
            group("Samples from the prior", "samples", "samples from the prior"),
            group(
                "Unit of the top layer with the largest KL, from −2.5 to 2.5",
                "traversal",
                "images as one unit of the top layer goes from −2.5 to 2.5",
            ),
        ],
    )


def _shown(rows: Sequence[Row], threshold: Row) -> list[Row]:
    """Return members of one seed: at the lowest and the highest value, and nearest to the critical value.

    Without the critical value the last is the middle one. A run that others have joined may have several
    seeds: it is the one with most members.
    """
    if not rows:
        return []
    counts = Counter(row["seed"] for row in rows)
    seed = min(counts, key=lambda seed: (-counts[seed], seed))
    by_value = sorted((row for row in rows if row["seed"] == seed), key=lambda row: float(row["value"]))
    middle, critical_value = by_value[len(by_value) // 2], threshold["critical_value"]
    if critical_value is not None:
        place = Scale(threshold["scale"]).place
        middle = min(by_value, key=lambda row: abs(place(row["value"]) - place(critical_value)))
    chosen = {row["value"]: row for row in (by_value[0], middle, by_value[-1])}
    return [chosen[value] for value in sorted(chosen)]


def _detail(row: Row, column: str) -> str:
    """Return what a reader compares the images with."""
    if column == "traversal":
        return f"unit {row['unit']}, {row['unit_kl_nats']:.2f} nats"
    return f"KL {row['kl_top_nats']:.2f} nats" if column == "reconstructions" else ""


def _strip(row: Row, column: str, label: str, detail: str, alt: str) -> Strip:
    pixels = strip(row[column], row["image_shape"])
    height, width, _ = pixels.shape
    return Strip(label, detail, alt, data_url(png(pixels)), width, height)


def sheet(cell: ChartCell) -> Chart | None:
    """Return the sheet of a cell as a figure; None without images of its members."""
    drawn = sheet_of(cell)
    if drawn is None:
        return None
    marks: list[Spec] = []
    y, scale = 0.0, _WIDTH / drawn.width
    for group in drawn.groups:
        marks.append(_text(group.title, _LABELS, y + _TITLE / 2, fontSize=7.5, fontWeight="bold"))
        y += _TITLE
        for part in group.strips:
            height = scale * part.height
            marks.append(_image(part.url, y, scale * part.width, height))
            lines = [(part.label, BLACK)] + [(part.detail, GREY)] * bool(part.detail)
            for index, (text, colour) in enumerate(lines):
                middle = y + height / 2 + 9 * (index - (len(lines) - 1) / 2)
                marks.append(_text(text, _LABELS - 6, middle, align="right", color=colour, fontSize=7))
            y += height + _GAP
        y += _GROUP_GAP
    title = {"text": drawn.title, "fontSize": 9, "anchor": "middle", "offset": 8}
    spec: Spec = {
        "title": title,
        "data": {"values": [{}]},
        "width": _LABELS + _WIDTH,
        "height": y - _GAP - _GROUP_GAP,
        "layer": marks,
    }
    return Chart(f"{_PREFIX}{cell.cell_id}", drawn.title, spec, {})


def cell_of_file(stem: str) -> str | None:
    """Return the cell_id in the name of a sheet's file; None for other files."""
    return stem.removeprefix(_PREFIX) if stem.startswith(_PREFIX) else None


def _image(url: str, y: float, width: float, height: float) -> Spec:
    place = {"x": {"value": _LABELS}, "y": {"value": y}, "url": {"value": url}}
    size: Spec = {"width": width, "height": height, "align": "left", "baseline": "top"}
    return layer("image", place, **size)


def _text(text: str, x: float, y: float, **look: Any) -> Spec:
    place = {"x": {"value": x}, "y": {"value": y}}
    look = {"align": "left", "baseline": "middle"} | look
    return layer("text", place, text=text, **look)
