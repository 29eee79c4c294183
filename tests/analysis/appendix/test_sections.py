"""Each exhibit says what was chosen on which seeds, and whether other seeds are shown."""

from pathlib import Path

import pytest

import search_spaces
from analysis.appendix.exhibits import EXHIBITS, table6, table9
from analysis.appendix.sections import build
from analysis.paper import main


@pytest.mark.parametrize(
    ("seeds", "shown"),
    [
        ((1000, 1001, 1002), "Shown: seeds 1000 to 1002, on which nothing was chosen."),
        ((1000, 1007), "Shown: seeds 1000, 1007, on which nothing was chosen."),
        ((0, 1, 2), "Shown: seeds 0 to 2, tuning seeds: settings may have been chosen while looking at them"),
        ((999, 1000), "Shown: seeds 999, 1000, of which 999 are tuning seeds: settings may"),
    ],
)
def test_the_seeds_that_are_shown_are_told_from_tuning_seeds(paper_member, write_run, seeds, shown, capsys):
    for budget in ("quick", "paper"):
        name = f"table6-{budget}"
        rows = [paper_member(name, (40,) * 4, (1, 3, 9, 17), seed) for seed in seeds]
        folder = write_run(name, rows)
        said = build(table6.EXHIBIT, folder).tuning
        chosen = "Settings of quick: sizes, steps and the number of seeds were chosen on seeds 0 to 4"
        assert shown in said
        assert (chosen in said) == (budget == "quick")
        assert main(["table6", str(folder)]) == 0
        assert said in capsys.readouterr().out


def test_costs_say_nothing_of_seeds(cost_row, write_run):
    folder = write_run("table9-quick", costs=[cost_row("vae", (40,) * 4, [4.0])])
    assert build(table9.EXHIBIT, folder).tuning == ""


@pytest.mark.parametrize("exhibit", EXHIBITS, ids=lambda exhibit: exhibit.name)
def test_an_exhibit_declares_the_budgets_of_its_space(exhibit):
    path = Path(search_spaces.__file__).parent / "paper" / f"{exhibit.name}.yaml"
    assert set(exhibit.budgets) == set(search_spaces.read_yaml_mapping(path)["budgets"])


@pytest.mark.parametrize("exhibit", EXHIBITS, ids=lambda exhibit: exhibit.name)
def test_every_exhibit_that_trains_says_what_was_chosen_and_takes_fresh_seeds(exhibit):
    trains = exhibit.source == "members"
    assert bool(exhibit.chosen) == trains
    for budget in exhibit.budgets if trains else ():
        seeds = search_spaces.load(f"paper/{exhibit.name}", budget=budget).seeds
        assert min(seeds) >= exhibit.fresh_from >= 1000
