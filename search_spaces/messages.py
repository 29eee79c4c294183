"""Messages about values of keys, in the words of spaces instead of pydantic's."""

from collections.abc import Mapping
from typing import Any, get_args

from pydantic import BaseModel

from ouvae.declared import CONTROLS, ORDER_PARAMETERS

FORMS: Mapping[str, str] = {
    "question": "a text, or null",
    "seeds": "a number, or a list of whole numbers",
    "active_from": "a mapping, such as `{kl_top: 0.1}`",
    "follow": ", ".join(ORDER_PARAMETERS),
    "probes": "a whole number from 1, or `auto`",
    "costs": "`{rounds: N, steps: N}`",
    "variants": "a list of mappings",
    "latents": "a list of lists of whole numbers from 1, or `{size: [N, …], depth: [N, …]}`",
}
"""The values that a key takes, in Markdown, if its type would need too many words."""

SWEPT_FORM = "a number, a list, or `{low: L, high: H, points: N}`"
"""The values that a control parameter takes in a space, in Markdown."""

_STRUCTURES = {
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
}

_ADVICE = {
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_parsing_size": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "string_type": "a text",
    "string_pattern_mismatch": "letters, digits, '.', '_' and '-', with a letter or a digit first",
    "greater_than_equal": "{ge} or more",
    "greater_than": "more than {gt}",
    "less_than_equal": "{le} or less",
    "less_than": "less than {lt}",
    "too_short": "{min_length} or more entries",
    "too_long": "{max_length} or fewer entries",
    "string_too_short": "{min_length} or more characters",
    "string_too_long": "{max_length} or fewer characters",
    "literal_error": "{expected}",
    "missing": "a value",
}
"""What to give instead of a value, by the type of pydantic's error and with its context."""


def advice(item: Mapping[str, Any], model: type[BaseModel]) -> str:
    """Return what to give instead of a refused value.

    Args:
        item: one of pydantic's errors.
        model: the model whose keys were validated.
    """
    name = str(item["loc"][0]) if item["loc"] else ""
    kind = item["type"]
    if kind == "value_error":
        return _own_message(item, name, model)
    if kind in _STRUCTURES:
        form = SWEPT_FORM if name in CONTROLS else FORMS.get(name)
        if form is not None:
            return "give " + form.replace("`", "")
        value = item["input"]
        example = f", such as [{value}]" if isinstance(value, int | float | str) else ""
        return f"give {_STRUCTURES[kind]}{example}"
    if kind not in _ADVICE:
        return str(item["msg"])
    if (
        kind in ("float_type", "float_parsing") and name in CONTROLS and len(item["loc"]) == 2
    ):  # of one number
        return "give " + SWEPT_FORM.replace("`", "")
    context = item.get("ctx", {})
    bounds = {name: f"{value:g}" if isinstance(value, float) else value for name, value in context.items()}
    return "give " + _ADVICE[kind].format(**bounds)


def _own_message(item: Mapping[str, Any], name: str, model: type[BaseModel]) -> str:
    """Return the message of a validator; YAML reads some words, such as `no`, as true or false."""
    message = str(item["ctx"]["error"])
    words = get_args(model.model_fields[name].annotation) if name in model.model_fields else ()
    if isinstance(item["input"], bool) and words and all(isinstance(word, str) for word in words):
        return f"{message}; give {', '.join(words)}"
    return message
