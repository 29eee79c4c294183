"""What is declared once and used everywhere: the keys of a cell, the metrics, what systems and data sets can.

All of it is plain data, read without torch: spaces are checked by it, models trained by it, tables made of
it. It is the one part of `ouvae` that `search_spaces` and `analysis` import.
"""

from ouvae.declared.cell import Cell, CellKeys
from ouvae.declared.choices import ARCHITECTURES, DATASETS, LIKELIHOODS, OBJECTIVES, SYSTEMS
from ouvae.declared.keys import Key, keys_of
from ouvae.declared.labels import labels
from ouvae.declared.metrics import METRICS, TEST_METRICS, Metric
from ouvae.declared.order_parameters import ORDER_PARAMETERS, OrderParameter, curve_value
from ouvae.declared.traits import DatasetTraits, SystemTraits

__all__ = [
    "ARCHITECTURES",
    "DATASETS",
    "LIKELIHOODS",
    "METRICS",
    "OBJECTIVES",
    "ORDER_PARAMETERS",
    "SYSTEMS",
    "TEST_METRICS",
    "Cell",
    "CellKeys",
    "DatasetTraits",
    "Key",
    "Metric",
    "OrderParameter",
    "SystemTraits",
    "curve_value",
    "keys_of",
    "labels",
]
