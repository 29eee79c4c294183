"""What the HTML pages share: templates in which every text is escaped, and how numbers are set."""

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from analysis.text.words import NOTHING
from ouvae.declared import CONTROLS


def environment(package: str) -> Environment:
    """Return the environment of the templates in a package; a name that a template lacks is an error."""
    templates = Environment(
        loader=PackageLoader(package, ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    templates.policies["json.dumps_kwargs"] = {"sort_keys": False}  # the order of the page
    templates.filters |= {"indexed": indexed, "signed": signed, "with_symbols": with_symbols}
    return templates


def signed(words: str) -> Markup:
    """Return escaped text in which a hyphen before a digit, at the start of a number, is a minus sign.

    A single hyphen becomes a dash; indices are set as `indexed` does.
    """
    if words == NOTHING:
        return Markup("\u2013")
    words_signed = [f"\u2212{w[1:]}" if w[:1] == "-" and w[1:2].isdigit() else w for w in words.split(" ")]
    words_signed = [f"[\u2212{w[2:]}" if w.startswith("[-") else w for w in words_signed]
    return indexed(" ".join(words_signed))


_INDEXED = ("L", "z", *(control.symbol[-1:] for control in CONTROLS.values()))
"""Last letters of symbols that have indices."""


def with_symbols(words: str) -> str:
    """Return a text in which critical values have their symbols, ρ_c in place of rho_c."""
    for name in sorted(CONTROLS, key=len, reverse=True):
        words = words.replace(f"{name}_c", CONTROLS[name].critical)
    return words


def indexed(words: str) -> Markup:
    """Return escaped text in which `L_100`, `z_1` and `ρ_c` have indices."""
    first, *rest = words.split("_")
    joined, before = escape(first), first
    for word in rest:
        size = len(word) - len(word.lstrip("0123456789")) or int(word[:1] in ("c", "k"))
        if (
            before[-1:] in _INDEXED
            and not before[-2:-1].isalnum()
            and size
            and not word[size : size + 1].isalnum()
        ):
            joined += Markup("<sub>{}</sub>{}").format(word[:size], word[size:])
        else:
            joined += f"_{word}"
        before = word
    return joined
