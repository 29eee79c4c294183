"""The searches are declared once."""

from typing import get_args

from ouvae.declared.searches import SEARCHES, SearchName


def test_each_name_has_traits():
    assert set(get_args(SearchName)) == set(SEARCHES)
