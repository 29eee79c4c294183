"""Choices of networks: which give the published picture, decided by intervals over seeds."""

import pytest

import search_spaces
from analysis.appendix.claims import FAILS, HOLDS, UNDECIDED
from analysis.appendix.exhibits import choices
from analysis.appendix.exhibits.choices import HEAD
from analysis.appendix.loading import load
from analysis.appendix.picture import Choice, trained
from analysis.charts.data import rows_of
from tests.analysis.appendix.conftest import choice_rows
from tests.analysis.conftest import legend, panels

ALIVE, DEAD = {0.85: 19.0, 1.0: 0.2}, {0.85: 0.3, 1.0: 0.2}


def of(activation, **keys):
    return (("activation", activation), *keys.items())


USUAL = {of(name): ALIVE for name in ("tanh", "elu")}
USUAL |= {of(name): DEAD for name in ("relu", "leaky_relu", "softplus")}


@pytest.fixture
def run_of(paper_member, write_run):
    """Return a maker of runs from the top KL of choices at each rho."""

    def make(top_kl=None, seeds=3):
        return load(choices.EXHIBIT, write_run("choices-quick", choice_rows(paper_member, top_kl, seeds)))

    return make


def verdicts(run):
    return [claim.verdict for claim in choices.claims(run)]


@pytest.mark.parametrize(
    ("changed", "centred", "uncentred"),
    [
        ({}, HOLDS, HOLDS),
        ({of("elu"): DEAD}, FAILS, HOLDS),
        ({of("elu"): {0.85: 19.0, 1.0: 5.0}}, FAILS, HOLDS),
        ({of("elu"): {0.85: 2.1, 1.0: 0.2}}, UNDECIDED, HOLDS),
        ({of("relu"): ALIVE}, HOLDS, FAILS),
        ({of("relu"): {0.85: 19.0, 1.0: 19.0}}, HOLDS, HOLDS),
        ({of("softplus"): {0.85: None, 1.0: 0.2}}, HOLDS, UNDECIDED),
    ],
)
def test_activations_are_decided_by_both_ends_of_rho(run_of, changed, centred, uncentred):
    assert verdicts(run_of(USUAL | changed))[:2] == [centred, uncentred]


def test_an_activation_that_was_not_run_leaves_the_claim_open(run_of):
    run = run_of({key: kl for key, kl in USUAL.items() if key not in (of("elu"), of("relu"))})
    assert verdicts(run)[:2] == [UNDECIDED] * 2
    assert [claim.closest.why for claim in choices.claims(run)[:2]] == ["no such runs"] * 2


def test_one_seed_decides_nothing(run_of):
    assert verdicts(run_of(USUAL, seeds=1))[:2] == [UNDECIDED] * 2


@pytest.mark.parametrize(("of_relu", "verdict"), [(DEAD, HOLDS), (ALIVE, FAILS)])
def test_initial_weights_decide_if_an_activation_changes_sides_with_them(run_of, of_relu, verdict):
    weights = {of("tanh", initialisation="xavier"): ALIVE, of("relu", initialisation="he"): of_relu}
    run = run_of(USUAL | weights)
    assert verdicts(run)[2] == verdict
    assert [piece.what for piece in choices.claims(run)[2].evidence] == [
        "tanh, xavier weights: top KL at ρ = 0.85",
        "tanh, xavier weights: top KL at ρ = 1",
        "relu, he weights: top KL at ρ = 0.85",
    ]


def test_a_form_of_smoothing_has_the_unsmoothed_members_of_the_usual_one(run_of):
    both = {"smoothed_networks": ("generative", "likelihood")}
    more = {of("tanh", **both): {0.85: 12.0}, of("relu", smoothing="ambient"): {0.85: 0.1}}
    run = run_of(USUAL | more)
    assert verdicts(run)[3] == HOLDS
    there = trained(run)
    one = there[Choice("tanh", **both)]
    assert one.effect.ours.mean == pytest.approx(12.0 - 0.2)
    assert one.picture.verdict == HOLDS
    assert verdicts(run_of(USUAL | {of("tanh", **both): {0.85: 0.1}}))[3] == FAILS


def test_what_the_usual_choice_leaves_open_decides_nothing(run_of):
    run = run_of({of("gelu"): {0.85: 2.0, 1.0: 0.1}, of("gelu", initialisation="he"): DEAD})
    (piece,) = choices.claims(run)[2].evidence
    assert piece.why == "not decided for gelu itself"


def test_every_choice_and_rho_is_a_line_with_bounds_and_lost_members(run_of):
    lost = {of("relu", initialisation="he"): {0.85: None, 1.0: 0.1}}
    lines = [dict(zip(HEAD, line, strict=True)) for line in choices.cells(run_of(USUAL | lost))[1:]]
    assert len(lines) == 2 * (len(USUAL) + 1)
    tanh = lines[0]
    assert (tanh["choice"], tanh["ρ"], tanh["members"]) == ("tanh", "0.85", "3 seeds")
    assert tanh["top KL (nats)"] == "19.00 [18.75, 19.25]"
    assert tanh["information in the top layer (nats), with its bounds"].endswith("(2.00 to 4.00)")
    assert tanh["active units, one draw, top first"] == "-"
    assert tanh["gives the picture"] == HOLDS
    assert tanh["top KL at the smallest ρ minus that at ρ = 1"].startswith("18.8")
    assert [line["gives the picture"] for line in lines[:2]] == [HOLDS, ""]
    assert lines[-2]["members"] == "0 seeds (3 more diverged)"


def test_words_sort_the_choices_by_what_they_give(run_of):
    lost = {of("gelu"): {0.85: None, 1.0: 0.1}}
    given, not_given, undecided = choices.words(run_of(USUAL | lost))
    assert "These choices give the published picture" in given
    assert "tanh (18.8 [18.8, 18.8] nats); elu (18.8" in given
    assert not_given.startswith("These do not: relu (0.1")
    assert undecided == "Not decided: gelu (top KL at ρ = 0.85: 3 diverged)."


def test_the_figure_has_a_line_a_choice_and_marks_lost_members(run_of):
    chart = choices.EXHIBIT.draw(run_of(USUAL | {of("gelu"): {0.85: None, 1.0: 0.1}}))
    axis = panels(chart)[0]["layer"][1]["encoding"]["y"]["axis"]
    assert axis["labelExpr"].startswith('["tanh", "elu", "relu", "leaky_relu", "softplus", "gelu"]')
    assert legend(chart) == ["ρ = 0.85", "ρ = 1", "members lost"]
    numbers = rows_of(chart.tables["numbers"])
    assert {row["value"] for row in numbers if row["panel"] == 1} == {3.0}
    assert [row["kind"] for row in rows_of(chart.tables["marks"])] == ["lost"]


def test_a_member_about_to_diverge_does_not_stretch_the_figure(run_of):
    chart = choices.EXHIBIT.draw(run_of(USUAL | {of("gelu"): {0.85: 5e6, 1.0: 0.1}}))
    assert panels(chart)[0]["layer"][1]["encoding"]["x"]["scale"]["domain"][1] < 70
    assert legend(chart)[-1] == "beyond the axis"


def test_every_choice_of_the_spaces_has_its_usual_one_beside_it():
    for budget in choices.EXHIBIT.budgets:
        swept = search_spaces.load("paper/choices", budget=budget).swept()
        usual = {one.cell.activation for one in swept if one.cell.smoothing == "posterior"
                 and one.cell.initialisation == "torch" and one.cell.normalisation == "none"
                 and one.cell.smoothed_networks == ("generative",) and not one.cell.kl_warmup}  # fmt: skip
        assert usual == {"relu", "tanh", "elu", "leaky_relu", "softplus", "gelu"}
