"""The sheet of a cell: which members it shows, and that its pictures are their bytes."""

import struct
import zlib
from base64 import b64decode

import numpy as np
import pytest

from analysis.charts.cells import chart_cells
from analysis.charts.sheets import cell_of_file, sheet, sheet_of
from analysis.charts.strips import GAP_PIXELS, TILE_PIXELS, png, strip
from analysis.results import Results
from analysis.sweep_page import page as page_module
from analysis.sweep_page.page import render
from analysis.tables.files import table_of, write_table
from analysis.tables.schema import SHEETS
from tests.analysis.conftest import RHO

IMAGES = np.random.default_rng(0).integers(0, 256, (8, 8, 8), dtype=np.uint8)


def decoded(file):
    """Return the pixels of a PNG in RGBA without filters."""
    assert file[:8] == b"\x89PNG\r\n\x1a\n"
    columns, rows = struct.unpack(">II", file[16:24])
    length = struct.unpack(">I", file[33:37])[0]
    lines = np.frombuffer(zlib.decompress(file[41 : 41 + length]), np.uint8).reshape(rows, -1)
    return lines[:, 1:].reshape(rows, columns, 4)


@pytest.mark.parametrize("shape", [(8, 8), (28, 28), (1, 5, 7), (3, 32, 32)])
def test_a_strip_holds_its_images_side_by_side(shape):
    images = np.random.default_rng(1).integers(0, 256, (3, *shape), dtype=np.uint8)
    pixels = decoded(png(strip(images.tobytes(), shape)))
    rows, columns = shape[-2:]
    factor = round(TILE_PIXELS / max(rows, columns))
    for index, image in enumerate(images):
        left = index * (columns * factor + GAP_PIXELS)
        tile = pixels[::factor, left : left + columns * factor : factor]
        expected = np.broadcast_to(image if image.ndim == 3 else image[None], (3, rows, columns))
        assert np.array_equal(tile[..., :3].transpose(2, 0, 1), expected)
        assert (tile[..., 3] == 255).all()
    assert (pixels[:, columns * factor : columns * factor + GAP_PIXELS, 3] == 0).all()


@pytest.fixture
def run(make_run, make_members):
    """A run of two cells; the first keeps images of four members, one of which diverged."""
    members = make_members({(8, 8): [0.88, 0.84], (4, 4): [0.7]}, diverged=[((8, 8), 0, 0.5)])
    folder = make_run(members)
    rows = [
        {"member_id": f"8,8-0-{rho!r}", "cell_id": "cell-8,8", "value": rho, "seed": 0, "image_shape": [8, 8]}
        | {"unit": 3, "unit_kl_nats": 1.5}
        | dict.fromkeys(("images", "reconstructions", "samples", "traversal"), IMAGES.tobytes())
        for rho in (RHO[index] for index in (0, 1, 4, 7, 10))
    ]
    write_table(table_of(rows, SHEETS), folder / "sheets/cell-8,8.parquet")
    return folder


def test_the_lowest_and_highest_rho_and_the_nearest_to_rho_c_are_shown(run):
    cells = {cell.cell_id: cell for cell in chart_cells([Results(run)])}
    assert sheet_of(cells["cell-4,4"]) is sheet(cells["cell-4,4"]) is None
    shown = sheet_of(cells["cell-8,8"])
    data, *groups = shown.groups
    assert [len(group.strips) for group in (data, *groups)] == [1, 3, 3, 3]
    for group in groups:
        assert [part.label for part in group.strips] == ["ρ = 0.55", "ρ = 0.85", "ρ = 1"]
    assert groups[0].strips[0].detail == "KL 3.30 nats"
    assert groups[2].strips[0].detail == "unit 3, 1.50 nats"
    pixels = decoded(b64decode(shown.groups[0].strips[0].url.partition(",")[2]))
    assert np.array_equal(pixels[::8, :64:8, 0], IMAGES[0])
    chart = sheet(cells["cell-8,8"])
    assert cell_of_file(chart.name) == "cell-8,8"
    assert cell_of_file("training") is None


def test_the_page_shows_it_and_says_which_images_cannot_be_read(run, monkeypatch):
    monkeypatch.setattr(page_module, "vega", lambda: "")
    page = render([Results(run)])
    assert page.count("<img src=") == 10
    assert 'alt="samples from the prior at ρ = 0.85"' in page
    path = run / "sheets/cell-8,8.parquet"
    path.write_bytes(path.read_bytes()[:-1])
    page = render([Results(run)])
    assert "<img src=" not in page
    assert f"Images are left out: {path} is not a readable parquet file" in page
