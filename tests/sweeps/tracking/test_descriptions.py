"""The descriptions of a sweep and of its experiment."""

import pytest

from sweeps.tracking.descriptions import is_replaceable, of_experiment, of_sweep

ANSWER = "8,8: ρ_c = 0.84\n\nIs it?\n\nIt is."
PAGES = {"thresholds": "#/t", "curves": "#/c"}


def test_the_answer_comes_first_and_the_pages_second():
    assert (
        of_sweep(ANSWER, PAGES) == "8,8: ρ_c = 0.84\n\n[thresholds](#/t) · [curves](#/c)\n\nIs it?\n\nIt is."
    )
    experiment = of_experiment(ANSWER, PAGES, {"first": "#/f"})
    assert experiment.startswith("8,8: ρ_c = 0.84\n\n[thresholds](#/t)")
    assert experiment.index("[curves]") < experiment.index("[first](#/f)") < experiment.index("Is it?")


@pytest.mark.parametrize("details", ["", "Is it?\n\nIt is.", "ten letters\n\n" * 1000])
def test_a_description_is_replaced_unless_a_user_changed_it(details):
    written = of_experiment(f"0.84\n\n{details}", PAGES, {})
    assert len(written) <= 5000, "MLflow takes no more"
    assert is_replaceable(written)
    assert not is_replaceable(written.replace("0.84", "0.85"))
    assert not is_replaceable(f"{written}\nmine")
    assert not is_replaceable("mine")


def test_the_descriptions_of_earlier_versions_are_replaced():
    assert is_replaceable('Curves of KL against rho: search for `tags.level = "cell"`, expand the sweep (+)')
    assert is_replaceable('Curves against rho: search for `tags.level = "cell"`, expand the sweep (+)')
