"""Declarations: the keys of a cell, the metrics, and the traits of systems and data sets.

Each fact is declared once, as plain data that needs no torch. Spaces are checked, models trained and tables
made by these declarations. `search_spaces` and `analysis` import no other part of `ouvae`.
"""

from ouvae.declared.cell import Cell, CellKeys
from ouvae.declared.choices import ARCHITECTURES, DATASETS, LIKELIHOODS, OBJECTIVES, SYSTEMS
from ouvae.declared.controls import CONTROLS
from ouvae.declared.keys import Control, Key, keys_of
from ouvae.declared.labels import labels
from ouvae.declared.metrics import METRICS, TEST_METRICS, Metric
from ouvae.declared.order_parameters import ORDER_PARAMETERS, OrderParameter
from ouvae.declared.traits import DatasetTraits, SystemTraits

__all__ = [
    "ARCHITECTURES",
    "CONTROLS",
    "DATASETS",
    "LIKELIHOODS",
    "METRICS",
    "OBJECTIVES",
    "ORDER_PARAMETERS",
    "SYSTEMS",
    "TEST_METRICS",
    "Cell",
    "CellKeys",
    "Control",
    "DatasetTraits",
    "Key",
    "Metric",
    "OrderParameter",
    "SystemTraits",
    "keys_of",
    "labels",
]
