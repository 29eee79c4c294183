"""The published numbers are those of the appendix, and selectors find the rows that they are about."""

import re
from collections import Counter
from importlib import import_module
from importlib.resources import files

import pytest

import search_spaces
from analysis.appendix.compare import QUANTITIES, published_value, selected
from analysis.appendix.exhibits import EXHIBITS, NAMES, exhibit_of, table6, table9, table10
from analysis.appendix.matching import Above, Below, Beside, OneOf, Unless, matches, settled

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
    rows = [row for row in table.rows if row.values and not row.reading_of]
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
        assert not row.reading_of or row.values == table.row(row.reading_of).values
        assert not row.baseline or table.row(row.baseline)
    for column in table.columns:
        assert column.quantity in QUANTITIES
    with pytest.raises(KeyError):
        table.row("GAN")
    with pytest.raises(KeyError):
        table.column("FID")


def test_every_module_of_a_table_or_figure_is_in_the_registry_by_its_name():
    assert list(NAMES) == [*APPENDIX, "figure4", "figure5", "figure6", "datasets", "controls", "choices"]
    modules = {path.stem for path in files("analysis.appendix.exhibits").glob("*.py")}
    assert modules - {"__init__"} == set(NAMES)
    for exhibit in EXHIBITS:
        assert import_module(f"analysis.appendix.exhibits.{exhibit.name}").EXHIBIT is exhibit
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


@pytest.mark.parametrize(
    ("condition", "of_elu", "of_both"),
    [("elu", "elu", "elu"), (Unless("relu"), "elu", "elu"), (Beside("relu"), None, "relu")],
)
def test_relu_is_the_activation_of_a_row_unless_the_run_has_another(condition, of_elu, of_both):
    def found(*activations):
        rows = [{"activation": name} for name in activations]
        where = settled({"activation": condition}, rows)
        return next((row["activation"] for row in rows if matches(row, where)), None)

    assert found("elu", "elu") == of_elu
    assert found("relu", "elu") == found("elu", "relu") == of_both
    assert found("relu", "relu") == ("relu" if isinstance(condition, Unless) else None)


@pytest.mark.parametrize("activation", ["relu", "elu"])
def test_no_member_is_two_rows_of_table_6(paper_member, activation):
    plain = {"smoothed_networks": []}
    both = {"smoothed_networks": ["generative", "likelihood"]}
    kinds = [
        plain,
        plain | {"objective": "iwae", "importance_samples": 5},
        plain | {"kl_warmup": 500},
        *(plain | {"objective": "free_bits", "free_bits_nats": nats} for nats in (1.0, 0.5, 2.0, 4.0)),
        *({"rho": rho} | networks for rho in (0.85, 0.9) for networks in ({}, both)),
        *({"rho": 0.95, "kl_warmup": 500} | networks for networks in ({}, both)),
    ]
    kinds = [{"activation": activation} | kind for kind in kinds]
    if activation != "relu":
        kinds += [{"activation": "relu"} | plain, {"activation": "relu", "rho": 0.85}]
    members = [paper_member("table6-quick", (40,) * 4, (1, 3, 9, 17), **columns) for columns in kinds]
    found = [selected(members, published.where) for published in table6.TABLE.rows]
    assert [rows[:1] for rows in found[: len(members)]] == [[member] for member in members]
    assert [len(rows) for rows in found] == [1] * len(members) + [0] * (len(found) - len(members))


@pytest.mark.parametrize("budget", ["quick", "size", "paper"])
def test_every_row_of_table_6_is_a_member_of_each_budget_and_no_member_is_left(budget):
    space = search_spaces.load("paper/table6", budget=budget)
    members = [
        {**swept.cell.model_dump(mode="json"), "rho": rho, "cell": "", "cell_id": str(index)}
        for index, swept in enumerate(space.swept())
        for rho in swept.values
    ]
    found = [selected(members, row.where) for row in table6.TABLE.rows]
    assert all(len(rows) == 1 for rows in found)
    assert len({id(rows[0]) for rows in found}) == len(members) == len(found)


def test_rows_of_the_published_size_are_in_the_order_of_their_importance():
    labels = []
    for budget in ("size", "paper"):
        swept = search_spaces.load("paper/table6", budget=budget).swept()
        rows = [{**one.cell.model_dump(mode="json"), "rho": rho} for one in swept for rho in one.values]
        labels = [
            next(row.label for row in table6.TABLE.rows if matches(member, settled(row.where, rows)))
            for member in rows
        ]
        assert labels[:5] == [
            "VAE", "OU-VAE (ρ = 0.85)", "OU-VAE (ρ = 0.9)", "VAE+KL", "OU-VAE+KL (ρ = 0.95)"
        ]  # fmt: skip
        assert all(label.endswith("p(x|z_1) too") for label in labels[5:8])
        assert labels[8:10] == ["IWAE (5 samples)", "VAE+Freebits"]
        assert labels[-2:] == ["VAE, ReLU", "OU-VAE (ρ = 0.85), ReLU"]
