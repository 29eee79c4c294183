"""The published numbers are those of the appendix, and selectors find the rows that they are about."""

import re
from collections import Counter
from importlib import import_module
from importlib.resources import files

import pytest

from analysis.appendix import table6, table9, table10
from analysis.appendix.compare import QUANTITIES, published_value
from analysis.appendix.matching import Above, Below, OneOf, matches
from analysis.appendix.registry import EXHIBITS, NAMES, exhibit_of

APPENDIX = {
    "table5": """
        VAE (L=2) | -82.41 | -97.65
        VampPrior (L=2) | -81.09 | -97.56
        OU-VAE (L=4) | -81.58 | -96.08""",
    "table6": """
        VAE | -86.4 | 0.82 | 1,3,9,17
        IWAE (5 samples) | -84.9 | 1.005 | 1,3,9,24
        VAE+KL | -84.5 | 1.2 | 2,3,11,37
        VAE+Freebits | -87 | 1.3 | 1,1,8,17
        OU-VAE (ρ = 0.85) | -85.2 | 20.6 | 40,40,40,24
        OU-VAE (ρ = 0.9) | -85.5 | 19.5 | 40,40,40,40
        OU-VAE+KL (ρ = 0.95) | -84.2 | 23.5 | 38,34,17,40""",
    "table7": """
        VAE | -89.7 | 18
        HVAE | -85.1 | 31""",
    "table8": """
        40-40-40-40 | -84.73 | 28.07 | 1.13 | 1,6,15,40
        30-30-30-30 | -88.7 | 26.5 | 0.69 | 1,6,13,30
        20-20-20-20 | -85.4 | 23.9 | 1.38 | 1,5,12,20
        10-10-10-10 | -90.47 | 18.38 | 1.30 | 2,3,9,10
        5-5-5-5 | -104.36 | 12.59 | 0.636 | 1,3,5,5""",
    "table9": """
        VAE | 4.2
        IWAE | 4.4
        OU-VAE | 4.6""",
    "table10": """
        VAE, 4 layers | 4 | 2.12 | 12.4
        VAE, 6 layers | 6 | 2.45 | 16.8
        IWAE, 4 layers | 4 | 8.59 | 12.4
        IWAE, 6 layers | 6 | 10.5 | 16.8
        LVAE, 15 layers | 15 | 6.4 | 59.5
        BIVA, 15 layers | 15 | 10.3 | 103
        OU-VAE, 4 layers | 4 | 3.74 | 12.4
        OU-VAE, 6 layers | 6 | 4.6 | 16.8""",
}
"""The appendix's tables, written down a second time: label and cells of each row."""

TABLES = {exhibit.name: exhibit.table for exhibit in EXHIBITS if exhibit.table}


def numbers(text):
    return [float(word) for word in re.findall(r"-?\d+(?:\.\d+)?", text)]


def flat(value):
    return list(map(float, value)) if isinstance(value, tuple) else [float(value)]


@pytest.mark.parametrize("name", APPENDIX)
def test_every_number_of_the_appendix_is_there_once_and_in_its_row(name):
    table = TABLES[name]
    lines = [[cell.strip() for cell in line.split("|")] for line in APPENDIX[name].strip().splitlines()]
    rows = [row for row in table.rows if row.values]
    assert [row.label for row in rows] == [line[0] for line in lines]
    for row, (_, *cells) in zip(rows, lines, strict=True):
        written = [number for cell in cells for number in numbers(cell)]
        assert Counter(n for value in row.values.values() for n in flat(value)) == Counter(written), row.label


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_tables_are_consistent(table):
    assert set(APPENDIX) == set(TABLES)
    keys = {column.key for column in table.columns}
    assert len({row.label for row in table.rows}) == len(table.rows)
    for row in table.rows:
        assert set(row.values) <= keys
        assert not row.baseline or table.row(row.baseline)
    for column in table.columns:
        assert column.quantity in QUANTITIES
    with pytest.raises(KeyError):
        table.row("GAN")
    with pytest.raises(KeyError):
        table.column("FID")


def test_every_module_of_a_table_or_figure_is_in_the_registry_by_its_name():
    assert list(NAMES) == [*APPENDIX, "figure4", "figure5", "figure6", "datasets", "controls"]
    modules = {path.stem for path in files("analysis.appendix").glob("*.py")}
    assert {name for name in modules if re.fullmatch(r"(table|figure)\d+|datasets|controls", name)} == set(
        NAMES
    )
    for exhibit in EXHIBITS:
        assert import_module(f"analysis.appendix.{exhibit.name}").EXHIBIT is exhibit
        assert exhibit_of(exhibit.name) is exhibit


def test_an_exhibit_is_called_by_its_number_or_by_where_its_claim_stands():
    assert [exhibit_of(name).number for name in ("table10", "figure4", "datasets")] == [
        "Table 10", "Figure 4", "Abstract",
    ]  # fmt: skip


def test_published_ratios_are_those_of_the_printed_numbers():
    for table, label, key, value in (
        (table9.TABLE, "OU-VAE", "seconds_ratio", 4.6 / 4.2),
        (table10.TABLE, "OU-VAE, 6 layers", "memory_ratio", 4.6 / 2.45),
        (table10.TABLE, "BIVA, 15 layers", "memory_ratio", 10.3 / 2.12),
    ):
        assert published_value(table, table.row(label), table.column(key)) == pytest.approx(value)


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ({}, True),
        ({"system": "vae"}, True),
        ({"system": "lvae"}, False),
        ({"system": OneOf(("lvae", "vae"))}, True),
        ({"system": OneOf(("lvae", "biva"))}, False),
        ({"rho": 0.85}, True),
        ({"rho": 0.8500001}, False),
        ({"rho": Below(1.0)}, True),
        ({"rho": Below(0.85)}, False),
        ({"kl_warmup": 0}, False),
        ({"kl_warmup": Above(0)}, True),
        ({"latents": (40, 40)}, True),
        ({"latents": (40, 40, 40)}, False),
        ({"system": "vae", "rho": 0.9}, False),
    ],
)
def test_all_conditions_of_a_selector_must_hold(where, found):
    row = {"system": "vae", "rho": 0.1 + 0.75, "kl_warmup": 500, "latents": [40, 40]}
    assert matches(row, where) is found


def test_no_member_is_two_rows_of_table_6(paper_member):
    kinds = [
        {"rho": 1.0},
        {"objective": "iwae", "importance_samples": 5},
        {"kl_warmup": 500},
        *({"objective": "free_bits", "free_bits_nats": nats} for nats in (1.0, 0.5, 2.0, 4.0)),
        {"rho": 0.85},
        {"rho": 0.9},
        {"rho": 0.95, "kl_warmup": 500},
    ]
    for index, columns in enumerate(kinds):
        row = paper_member("table6-quick", (40,) * 4, (1, 3, 9, 17), **columns)
        assert [matches(row, published.where) for published in table6.TABLE.rows] == [
            place == index for place in range(len(kinds))
        ]
