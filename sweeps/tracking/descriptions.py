"""Descriptions of a sweep and of its experiment, as MLflow's UI shows them in Markdown.

The UI shows the first line of an experiment's description on each of its pages, and the rest on request: the
first line is the answer in short.
"""

import hashlib
import re
from collections.abc import Mapping

IN_TRAINING = "in training"
"""The answer of a sweep that has none yet."""

_LONGEST = 4500  # of an experiment's tag MLflow takes 5000 characters
_SEAL = "\n\n<!-- {} -->"
_EARLIER = re.compile(r"Curves (of KL )?against rho: ")  # without a seal


def of_sweep(answer: str, pages: Mapping[str, str]) -> str:
    """Return the description of a sweep.

    Args:
        answer: in Markdown; its first line is the answer in short.
        pages: address of each page about the sweep, by what the page shows.
    """
    short, _, details = answer.partition("\n")
    return "\n\n".join(filter(None, [short, _links(pages), details.strip()]))


def of_experiment(answer: str, pages: Mapping[str, str], others: Mapping[str, str]) -> str:
    """Return the description of an experiment, sealed so that `is_replaceable` knows it.

    Args:
        answer: of the latest sweep; what is too long for MLflow is left out.
        pages: of the latest sweep.
        others: address of each other sweep, by name.
    """
    short, _, details = answer.partition("\n")
    links = [f"Other sweeps of this space: {_links(others)}"] if others else []
    text = of_sweep(short, pages)
    for block in [*links, *details.strip().split("\n\n")]:
        if len(text) + len(block) > _LONGEST:
            break
        text += f"\n\n{block}" if block else ""
    return text + _SEAL.format(_digest(text))


def is_replaceable(description: str) -> bool:
    """Tell whether an experiment's description is as a sweep wrote it; a user's text stays."""
    text, _, _ = description.rpartition(_SEAL.partition("{")[0])
    return description == text + _SEAL.format(_digest(text)) or bool(_EARLIER.match(description))


def _links(pages: Mapping[str, str]) -> str:
    return " · ".join(f"[{text}]({address})" for text, address in pages.items())


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]
