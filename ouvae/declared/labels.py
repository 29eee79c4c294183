"""Names of cells for tables, figures and MLflow, and the keys in which cells differ."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ouvae.declared.cell import Cell
from ouvae.declared.keys import keys_of

Values = Mapping[str, Any]
"""The keys and values of a cell, such as a row of a table, in which the control parameter is None."""


def labels(cells: Iterable[Cell | Values]) -> list[str]:
    """Return a name for each cell; different cells have different names.

    A name has data set, architecture, latent sizes if there are any, and the method if it is not the plain
    one. Cells that share all of this have the keys in which they differ as well.
    """
    rows = [dict(cell) for cell in cells]
    names = [_base(row) for row in rows]
    namesakes: dict[str, list[Values]] = {}
    for name, row in zip(names, rows, strict=True):
        namesakes.setdefault(name, []).append(row)
    added_keys = {name: differing_keys(cells_of_name) for name, cells_of_name in namesakes.items()}
    return [
        " ".join([name, ", ".join(word(row, key) for key in added_keys[name])]).rstrip()
        for name, row in zip(names, rows, strict=True)
    ]


def differing_keys(cells: Sequence[Values]) -> list[str]:
    """Return the keys in which cells differ."""
    return [key for key in keys_of(Cell) if len({text(cell[key]) for cell in cells}) > 1]


def word(cell: Values, key: str) -> str:
    """Return a key's value as labels write it, such as `2000 steps`."""
    return (keys_of(Cell)[key].word or f"{key} {{}}").format(text(cell[key]))


def text(value: object) -> str:
    """Return a value as labels write it: a list as `10,10`, an empty list as `none`."""
    if isinstance(value, list | tuple):
        return ",".join(map(text, value)) or "none"
    return str(value)


def _base(cell: Values) -> str:
    words = [cell["dataset"], cell["architecture"]]
    if cell["latents"]:
        words.append(text(cell["latents"]))
    networks, shrunk = tuple(cell["smoothed_networks"]), cell["smoothing"] == "shrink"
    if cell["system"] != "vae":
        words.append(cell["system"])
    elif not networks:
        words.append("unsmoothed")
    elif shrunk or networks != ("generative",):
        words.append(f"{'shrunk' if shrunk else 'smoothed'}-{'+'.join(networks)}")
    if cell["objective"] == "iwae":
        words.append(f"iwae-{cell['importance_samples']}")
    elif cell["objective"] == "free_bits":
        words.append(f"free-bits-{cell['free_bits_nats']:g}" if cell["free_bits_nats"] else "free-bits")
    if cell["kl_warmup"]:
        words.append("+kl")
    if cell["kl_weight"] not in (None, 1):
        words.append(f"beta-{cell['kl_weight']:g}")
    if cell["top_kl_weight"] not in (None, 1):
        words.append(f"top-kl-{cell['top_kl_weight']:g}")
    return " ".join(words)
