"""The YAML of spaces: settings that are written are read back, here and by any reader of YAML."""

import pytest
import yaml

from search_spaces import load, names
from search_spaces.plain_yaml import parse, text_of

SHIPPED = [*names(), *(f"paper/{name}" for name in names("paper"))]


@pytest.mark.parametrize("name", SHIPPED)
def test_settings_of_a_space_are_read_back(name):
    settings = load(name).model_dump(mode="json")
    text = text_of(settings)
    assert parse(text) == yaml.safe_load(text) == settings
    assert list(parse(text)) == list(settings)


def test_text_that_looks_like_something_else_stays_text():
    values = {"a": "5:30", "b": "010", "c": "no", "d": "1e-5", "e": 1e-05, "f": "2026-11-30", "g": "é: #x"}
    assert parse(text_of(values)) == yaml.safe_load(text_of(values)) == values
