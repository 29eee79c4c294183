"""A chart: its specification and its data, in a notebook and in files."""

from base64 import b64encode
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from analysis.charts.data import Columns, rows_of
from analysis.charts.looks import PRINT, Spec

_SCREEN_INCH = 96
"""Pixels per inch on a screen."""

_NOTEBOOK_INCH = 144
"""Pixels per inch of a PNG in a notebook, which keeps it in its file."""

_SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"


@dataclass(frozen=True)
class Chart:
    """A chart in Vega-Lite. A notebook shows it; `save` writes it.

    Attributes:
        name: its place in a page, and the stem of its files.
        title: the text above it.
        spec: the specification, without data.
        tables: the data by the names that the specification uses.
    """

    name: str
    title: str
    spec: Spec
    tables: Mapping[str, Columns]

    def to_dict(self) -> Spec:
        """Return the whole specification, with its data."""
        data = {name: rows_of(columns) for name, columns in self.tables.items()}
        return {"$schema": _SCHEMA, "config": PRINT, **self.spec, "datasets": data}

    def save(self, path: str | Path) -> Path:
        """Write the chart, atomically, in the format of the suffix: `.svg`, `.png` or `.pdf`.

        Raises:
            ValueError: for another suffix.
            TableError: where the file cannot be written.
        """
        return self._write([Path(path)])[0]

    def save_in(self, folder: str | Path) -> list[Path]:
        """Write the chart into a folder as PNG and SVG, the files of a run's `figures`; return the paths."""
        return self._write([Path(folder) / f"{self.name}.{kind}" for kind in ("png", "svg")])

    def _write(self, paths: Sequence[Path]) -> list[Path]:
        from analysis.charts import render  # vl-convert takes a while
        from analysis.tables.replacing import replacing

        kinds: dict[str, Callable[[str], bytes]] = {
            ".svg": render.svg,
            ".png": render.png,
            ".pdf": render.pdf,
        }
        for path in paths:
            if path.suffix not in kinds:
                raise ValueError(f"cannot write {path}: '{path.suffix}' is none of {', '.join(kinds)}")
        drawing = render.drawing(self.to_dict())
        for path in paths:
            with replacing(path) as file:
                file.write(kinds[path.suffix](drawing))
        return list(paths)

    def _repr_mimebundle_(
        self, include: Collection[str] | None = None, exclude: Collection[str] | None = None
    ) -> tuple[dict[str, str], Spec]:
        """Return the chart for a notebook: PNG with its width on the screen, and text."""
        from analysis.charts import render

        image = render.png(render.drawing(self.to_dict()), _NOTEBOOK_INCH)
        shown = {"image/png": b64encode(image).decode(), "text/plain": repr(self)}
        kinds = (set(shown) if include is None else set(include)) - set(exclude or ())
        pixels = int.from_bytes(image[16:20], "big")  # of the header
        width = {"image/png": {"width": round(pixels * _SCREEN_INCH / _NOTEBOOK_INCH)}}
        return {kind: shown[kind] for kind in shown if kind in kinds}, width

    def __repr__(self) -> str:
        return f"<Chart {self.name}: {self.title}>"
