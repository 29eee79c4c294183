"""Packed training: members are what they would be alone, whatever happens to their neighbours."""

import json
import math
import os
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar

import ouvae.training.evaluation.evaluator
from ouvae.data import Dataset, load
from ouvae.declared.retained_variance import retained_variance
from ouvae.parts.distributions import gaussian_kl_to_standard
from ouvae.training.noise import single_draws
from ouvae.training.pack import PackTraining, initial_model
from tests.ouvae.packs import (
    CASES,
    MEMBERS,
    NETWORKS,
    assert_close,
    numbers,
    parameters,
    poison,
    through_a_file,
    train,
)


@pytest.fixture(params=CASES)
def case(request, make_cell):
    return make_cell(**CASES[request.param])


# A pack against its members alone


def test_a_pack_trains_its_members_to_what_they_become_alone(case, data):
    members = [(1.0, 0), (0.7, 1), (0.0, 2)]
    pack = train(PackTraining(case, members, data))
    stacked = parameters(pack)
    for row, (member, outcome) in enumerate(zip(members, pack.outcomes(), strict=True)):
        alone = train(PackTraining(case, [member], data))
        assert_close(outcome, alone.outcomes()[0])
        for name, value in parameters(alone).items():
            torch.testing.assert_close(stacked[name][row], value[0], rtol=1e-9, atol=1e-9)


def test_gradients_are_the_slopes_of_the_losses(make_cell, data):
    """A central difference along a random direction of all parameters."""
    case = make_cell(latents=(4, 3, 2), smoothed_networks=NETWORKS)
    state = through_a_file(PackTraining(case, MEMBERS, data).state_dict())

    def run(shift):
        pack = PackTraining(case, MEMBERS, data)
        moved = {**state, "parameters": {}}
        for name, value in state["parameters"].items():
            moved["parameters"][name] = value + shift * direction[name]
        pack.load_state_dict(moved)
        return pack.losses_and_gradients()

    generator = torch.Generator().manual_seed(0)
    direction = {
        name: torch.randn(value.shape, generator=generator, dtype=value.dtype)
        for name, value in state["parameters"].items()
    }
    _, gradients, _ = run(0.0)
    slope = sum((gradients[name] * direction[name]).flatten(1).sum(1) for name in gradients)
    difference = (run(1e-6)[0] - run(-1e-6)[0]) / 2e-6
    torch.testing.assert_close(slope, difference, rtol=1e-6, atol=1e-6)


# What members of a seed share


def test_a_seed_is_one_realisation_whatever_rho_is(make_cell, data):
    """Without a smoothed network rho has no effect: weights, minibatches and noise are the seed's."""
    case = make_cell(latents=(3,), smoothed_networks=("generative",))
    pack = train(PackTraining(case, [(0.1, 0), (0.9, 0), (0.9, 1)], data))
    low, high, other = (outcome.history for outcome in pack.outcomes())
    assert low == high
    assert all(mine != theirs for mine, theirs in zip(low, other, strict=True))


def test_before_training_the_elbo_is_the_seeds_and_the_objective_rhos(make_cell, data):
    case = make_cell(smoothed_networks=NETWORKS)
    pack = PackTraining(case, [(1.0, 0), (0.5, 0), (0.0, 0), (1.0, 1)], data)
    pack.evaluate()
    first, second, third, other = (outcome.history[0] for outcome in pack.outcomes())
    assert first["elbo_nats"] == second["elbo_nats"] == third["elbo_nats"]
    assert first["kl_nats"] == second["kl_nats"] == third["kl_nats"]
    assert first["active_units"] == second["active_units"] == third["active_units"]
    assert len({first["objective_nats"], second["objective_nats"], third["objective_nats"]}) == 3
    assert other["elbo_nats"] != first["elbo_nats"]


@pytest.mark.parametrize("images", [1, 60])
def test_seeds_differ_in_their_noise_and_in_their_minibatches(make_cell, data, images):
    """With equal weights: of one image the losses differ by the noise, the exact top KLs by nothing."""
    case = make_cell(latents=(3,), smoothed_networks=("likelihood",))
    few = replace(data, train=data.train[:images].copy(), binarization="none")
    pack = PackTraining(case, [(0.5, 0), (0.5, 0), (0.5, 1)], few)
    state = through_a_file(pack.state_dict())
    for stacked in state["parameters"].values():
        stacked[:] = stacked[0].clone()
    pack.load_state_dict(state)
    loss, _, kl = pack.losses_and_gradients()
    assert torch.equal(loss[0], loss[1])
    assert abs(loss[2] - loss[0]) > 1e-6
    assert (abs(kl[2, 0] - kl[0, 0]) > 1e-6) == (images > 1)


def test_members_of_a_seed_start_from_the_same_weights(make_cell, data):
    stacked = parameters(PackTraining(make_cell(), [(1.0, 4), (0.2, 4), (1.0, 5)], data))
    initial = dict(initial_model(make_cell(), (3, 4), 4).named_parameters())
    for name, value in stacked.items():
        assert torch.equal(value[0], value[1])
        assert torch.equal(value[0], initial[name])
        assert not torch.equal(value[0], value[2])


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_at_rho_one_both_forms_train_to_the_same_bits_beside_smoothed_neighbours(make_cell, data, precision):
    members = [(1.0, 0), (0.4, 0), (1.0, 1)]
    common = {"smoothed_networks": NETWORKS, "precision": precision}
    posterior, ambient = (
        train(PackTraining(make_cell(smoothing=form, **common), members, data)).outcomes()
        for form in ("posterior", "ambient")
    )
    assert posterior[0] == ambient[0]
    assert posterior[2] == ambient[2]
    assert posterior[1] != ambient[1]
    for metrics in posterior[0].history:
        assert metrics["objective_nats"] == metrics["elbo_nats"]


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_shrink_reads_the_noise_of_the_unsmoothed_cell_and_at_rho_one_trains_to_its_bits(
    make_cell, data, precision
):
    members = [(1.0, 0), (0.4, 0), (1.0, 1)]
    shrunk, unsmoothed = (
        train(PackTraining(make_cell(precision=precision, **keys), members, data)).outcomes()
        for keys in ({"smoothing": "shrink", "smoothed_networks": NETWORKS}, {"smoothed_networks": ()})
    )
    assert shrunk[0].history == unsmoothed[0].history
    assert shrunk[2].history == unsmoothed[2].history
    assert shrunk[1].history[0]["elbo_nats"] == unsmoothed[1].history[0]["elbo_nats"]
    assert shrunk[1].history[-1] != unsmoothed[1].history[-1]


SCRIPT = """
import json, sys
from dataclasses import asdict
import numpy as np
import torch
from ouvae.data import Dataset
from ouvae.training.pack import PackTraining
from ouvae.declared import Cell

torch.set_num_threads(1)
torch.rand(int(sys.argv[1]))
images = np.random.default_rng(0).random((90, 12), dtype=np.float32)
data = Dataset("made", images[:60], images[60:80], images[80:], (3, 4), "dynamic")
pack = PackTraining(Cell.model_validate_json(sys.argv[2]), [(1.0, 0), (0.6, 0), (0.6, 1)], data)
while not pack.done:
    pack.train_step()
print(json.dumps([asdict(outcome) for outcome in pack.outcomes()]))
"""


@pytest.mark.process
def test_two_fresh_processes_give_the_same_rows(make_cell):
    case = make_cell(smoothed_networks=NETWORKS, precision="float32")
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(used), case.model_dump_json()],
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[3],
            env={**os.environ, "PYTHONHASHSEED": str(used), "OMP_NUM_THREADS": "1"},
        )
        for used in (1, 2)
    ]
    first, second = (json.loads(process.communicate()[0]) for process in processes)
    assert first == second
    assert [metrics["step"] for metrics in first[2]["history"]] == [0, 10, 20]


def test_the_global_generators_are_left_alone(make_cell, data):
    torch.manual_seed(1)
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()  # noqa: NPY002
    train(PackTraining(make_cell(smoothed_networks=NETWORKS), MEMBERS, data))
    assert torch.equal(torch.get_rng_state(), before[0])
    assert random.getstate() == before[1]
    assert np.array_equal(np.random.get_state()[1], before[2])  # noqa: NPY002


def test_initial_weights_do_not_depend_on_the_global_generator(make_cell):
    torch.manual_seed(1)
    first = initial_model(make_cell(), (3, 4), 0).state_dict()
    torch.manual_seed(2)
    again = initial_model(make_cell(), (3, 4), 0).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)


# Evaluation


@pytest.mark.parametrize(
    ("steps", "eval_every", "expected"),
    [(20, 10, [0, 10, 20]), (25, 10, [0, 10, 20, 25]), (5, 10, [0, 5]), (3, 1, [0, 1, 2, 3])],
)
def test_history_runs_over_every_evaluation_and_the_last_step(make_cell, data, steps, eval_every, expected):
    pack = train(PackTraining(make_cell(steps=steps, eval_every=eval_every), MEMBERS[:2], data))
    for outcome in pack.outcomes():
        assert [metrics["step"] for metrics in outcome.history] == expected
        assert outcome.diverged_at_step is None


def test_evaluating_more_often_changes_no_number(make_cell, data):
    rare, often = (train(PackTraining(make_cell(eval_every=every), MEMBERS, data)) for every in (20, 3))
    for ours, theirs in zip(rare.outcomes(), often.outcomes(), strict=True):
        assert ours.history[-1] == theirs.history[-1]


def test_the_bound_is_the_sum_of_its_terms(case, data):
    for outcome in train(PackTraining(case, MEMBERS, data)).outcomes():
        for metrics in outcome.history:
            bound = metrics["reconstruction_nats"] - sum(metrics["kl_nats"])
            assert metrics["elbo_nats"] == pytest.approx(bound, abs=1e-10)
            assert metrics["kl_top_nats"] == metrics["kl_nats"][-1] >= 0
            assert [
                0 <= units <= size for units, size in zip(metrics["active_units"], case.latents, strict=True)
            ]


@pytest.mark.parametrize("chunk", [500, 7, 20])
@pytest.mark.parametrize("eval_images", [None, 9])
def test_the_top_kl_is_the_mean_of_the_closed_form_over_the_validation_images(
    make_cell, data, monkeypatch, chunk, eval_images
):
    monkeypatch.setattr(ouvae.training.evaluation.evaluator, "EVALUATION_CHUNK", chunk)
    case = make_cell(latents=(3,), smoothed_networks=("likelihood",), eval_images=eval_images)
    pack = PackTraining(case, [(0.3, 0), (1.0, 1)], replace(data, binarization="none"))
    pack.evaluate()
    x = torch.from_numpy(data.validation[:eval_images]).double()
    for outcome in pack.outcomes():
        mean, log_scale = initial_model(case, (3, 4), outcome.seed).inference[0](x).chunk(2, -1)
        expected = gaussian_kl_to_standard(mean, log_scale).mean().item()
        assert outcome.history[0]["kl_top_nats"] == pytest.approx(expected, abs=1e-12)


def test_validation_pixels_are_drawn_once_for_all_members(make_cell, data):
    """The top KL of one layer has no noise, and shows whether two evaluations saw the same pixels."""
    case = make_cell(latents=(3,), smoothed_networks=("likelihood",))
    pack = PackTraining(case, MEMBERS, data)
    pack.evaluate()
    pack.evaluate()
    again = PackTraining(case, MEMBERS[1:2], data)
    again.evaluate()
    before, after = pack.outcomes()[1].history
    assert before == after
    assert again.outcomes()[0].history[0]["kl_top_nats"] == pytest.approx(before["kl_top_nats"], abs=1e-12)
    grey = PackTraining(case, MEMBERS[1:2], replace(data, binarization="none"))
    grey.evaluate()
    assert abs(grey.outcomes()[0].history[0]["kl_top_nats"] - before["kl_top_nats"]) > 1e-4


def test_a_layer_that_follows_only_the_noise_below_has_no_active_units(linear):
    generator = np.random.default_rng(0)
    images = generator.standard_normal((2000, 3)).astype(np.float32)
    gaussian = Dataset("noise", images[:50], images, images[:5], (3,), "none")
    case = linear(latents=(3, 3), smoothed_networks=("generative",))
    pack = PackTraining(case, [(1.0, 0), (1.0, 1)], gaussian)
    state = through_a_file(pack.state_dict())
    follow = 0.3 * torch.eye(3, dtype=torch.float64)
    state["parameters"]["inference.1.mean.weight"][:] = follow
    state["parameters"]["inference.0.mean.weight"][:] = 0
    state["parameters"]["inference.0.mean.weight"][1] = torch.diag(torch.tensor([1.0, 1.0, 0.05]))
    pack.load_state_dict(state)
    pack.evaluate()
    noise, signal = (outcome.history[0] for outcome in pack.outcomes())
    assert (noise["active_units"], signal["active_units"]) == ([0, 0], [2, 2])
    assert (noise["active_units_one_draw"], signal["active_units_one_draw"]) == ([0, 3], [2, 3])
    assert noise["signal_share"][0] is None, "q(z_1|x) is the same for all images"
    assert noise["signal_share_top"] == pytest.approx(0, abs=0.02)
    assert noise["signal_share_top"] == noise["signal_share"][1]
    assert 0.2 < signal["signal_share_top"] < 0.6
    assert signal["signal_share"][0] == pytest.approx(1)


def test_an_undefined_share_is_null_and_no_divergence(linear):
    generator = np.random.default_rng(0)
    images = generator.standard_normal((50, 3)).astype(np.float32)
    gaussian = Dataset("noise", images, images, images[:5], (3,), "none")
    pack = PackTraining(linear(latents=(3,), steps=2, bound_samples=2), [(1.0, 0)], gaussian)
    state = through_a_file(pack.state_dict())
    state["parameters"]["inference.0.mean.weight"][:] = 0
    pack.load_state_dict(state)
    train(pack)
    (outcome,) = pack.outcomes()
    assert outcome.diverged_at_step is None
    assert outcome.history[0]["signal_share"] == [None]
    assert outcome.history[0]["signal_share_top"] is None
    assert outcome.history[0]["active_units_one_draw_top"] == 0
    assert outcome.test is not None
    assert outcome.test["test_signal_share_top"] is None


# Training


@pytest.mark.parametrize("warmup", [1, 6])
def test_the_kls_weight_rises_linearly_over_the_warm_up(make_cell, data, warmup):
    warm = PackTraining(make_cell(kl_warmup=warmup), MEMBERS, data)
    for step in range(8):
        state = through_a_file(warm.state_dict())
        probes = [PackTraining(make_cell(kl_warmup=length), MEMBERS, data) for length in (warmup, 0)]
        for probe in probes:
            probe.load_state_dict(state)
        (loss, _, kl), (full, _, _) = (probe.losses_and_gradients() for probe in probes)
        missing = 1 - min(1.0, step / warmup)
        torch.testing.assert_close(full - loss, missing * kl.sum(1), rtol=1e-9, atol=1e-9)
        warm.train_step()


@pytest.mark.parametrize("top", [0.0, 0.4, 2.0])
def test_the_top_kls_weight_multiplies_the_weight_of_the_warm_up(make_cell, data, top):
    warm = PackTraining(make_cell(kl_warmup=3, top_kl_weight=top), MEMBERS, data)
    for step in range(5):
        state = through_a_file(warm.state_dict())
        probes = [PackTraining(make_cell(kl_warmup=3, top_kl_weight=w), MEMBERS, data) for w in (top, 1.0)]
        for probe in probes:
            probe.load_state_dict(state)
        (loss, _, kl), (plain, _, _) = (probe.losses_and_gradients() for probe in probes)
        expected = min(1.0, step / 3) * (1 - top) * kl[:, -1]
        torch.testing.assert_close(plain - loss, expected, rtol=1e-9, atol=1e-9)
        warm.train_step()


def test_without_its_kl_a_vae_of_one_layer_is_an_autoencoder(make_cell, data):
    """The loss and its gradient are those of the reconstruction; they are linear in the weight."""
    layer = {"latents": (3,), "smoothed_networks": ("likelihood",)}
    cells = [make_cell(top_kl_weight=weight, **layer) for weight in (0.0, 1.0, 0.3)]
    none, whole, some = (PackTraining(cell, MEMBERS, data).losses_and_gradients() for cell in cells)
    torch.testing.assert_close(some[0], none[0] + 0.3 * whole[2][:, 0], rtol=1e-9, atol=1e-9)
    for name, gradient in none[1].items():
        linear = gradient + 0.3 * (whole[1][name] - gradient)
        torch.testing.assert_close(some[1][name], linear, rtol=1e-9, atol=1e-9)

    (rho, seed), *_ = MEMBERS
    pack = PackTraining(cells[0], [(rho, seed)], data)
    x = pack._feed._minibatches[0].next(1)[0]
    draws = single_draws(cells[0], (len(x),), pack._feed._generators[0], torch.float64)
    model = initial_model(cells[0], (3, 4), seed)
    reconstruction = -model(x, draws, torch.tensor(rho, dtype=torch.float64)).log_likelihood.mean()
    torch.testing.assert_close(none[0][0], reconstruction.detach(), rtol=1e-9, atol=1e-9)
    reconstruction.backward()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(none[1][name][0], parameter.grad, rtol=1e-9, atol=1e-9)


def test_only_the_objective_includes_the_top_kls_weight(make_cell, data):
    packs = [PackTraining(make_cell(top_kl_weight=top), [(1.0, 0), (0.5, 1)], data) for top in (1.0, 0.4)]
    for pack in packs:
        pack.evaluate()
    for plain, weighed in zip(*(pack.outcomes() for pack in packs), strict=True):
        before, after = plain.history[0], weighed.history[0]
        assert {name for name in before if before[name] != after[name]} == {"objective_nats"}
        raised = 0.6 * before["kl_top_nats"]
        assert after["objective_nats"] - before["objective_nats"] == pytest.approx(raised, abs=1e-9)


def test_weight_decay_is_decoupled_from_the_gradient(make_cell, data):
    """A step removes learning_rate times weight_decay of each weight, for any gradient."""
    rate, decay = 0.02, 0.5
    plain, decayed = (
        PackTraining(make_cell(learning_rate=rate, weight_decay=value), MEMBERS, data) for value in (0, decay)
    )
    before = {name: value.detach().clone() for name, value in plain._parameters.items()}
    plain.train_step()
    decayed.train_step()
    for name, weights in before.items():
        taken = plain._parameters[name] - decayed._parameters[name]
        torch.testing.assert_close(taken, rate * decay * weights, rtol=0, atol=1e-12)


def test_training_raises_the_bound(make_cell, data):
    case = make_cell(latents=(2,), smoothed_networks=("likelihood",), steps=150, eval_every=150)
    for outcome in train(PackTraining(case, [(1.0, 0), (0.9, 1)], data)).outcomes():
        before, after = outcome.history
        assert after["elbo_nats"] > before["elbo_nats"] + 1
        assert after["objective_nats"] > before["objective_nats"] + 1


def optimum(variance, draws, rho):
    """Return the KL at the optimum of the smoothed linear model with sigma_x = 1, not in the ambient form.

    With the best a and v for a given w put in, a = w / (1 + w^2) and v = 1 / (1 + w^2 g), the loss is a
    function of w alone.
    """
    g = retained_variance(rho, draws)

    def terms(w):
        a, v = w / (1 + w * w), 1 / (1 + w * w * g)
        reconstruction = 0.5 * (variance * (1 - w * a) ** 2 + w * w * v * g)
        return reconstruction, 0.5 * (a * a * variance + v - 1 - math.log(v))

    best = minimize_scalar(lambda w: sum(terms(w)), bounds=(0, 3), method="bounded")
    return terms(best.x)[1]


@pytest.mark.parametrize("form", ["posterior", "shrink"])
def test_the_linear_control_trains_to_its_exact_optimum_on_either_side_of_the_threshold(linear, form):
    variance, draws = 0.8, 5
    budget = {"steps": 600, "batch_size": 1000, "learning_rate": 0.01, "eval_every": 600}
    case = linear(ou_samples=draws, smoothing=form, **budget)
    rhos = [0.0, 0.5, 0.95, 1.0]
    pack = train(PackTraining(case, [(rho, 0) for rho in rhos], load("gaussian", data_variance=[variance])))
    actual = [outcome.history[-1]["kl_top_nats"] for outcome in pack.outcomes()]
    exact = [optimum(variance, draws, rho) for rho in rhos]
    assert exact[1] > 0.1
    assert exact[2] == pytest.approx(0, abs=1e-6)
    assert actual == pytest.approx(exact, rel=0.1, abs=5e-3)


def test_the_plain_linear_vae_trains_to_the_log_evidence(linear):
    """Probabilistic principal components: KL = log(s / sigma_x), ELBO = E log N(x; 0, s^2)."""
    variance = 2.0
    budget = {"steps": 400, "batch_size": 1000, "learning_rate": 0.02, "eval_every": 400}
    case = linear(smoothing="ambient", **budget)
    pack = train(PackTraining(case, [(1.0, 0), (0.2, 0)], load("gaussian", data_variance=[variance])))
    plain, collapsed = (outcome.history[-1] for outcome in pack.outcomes())
    evidence = -0.5 * (math.log(2 * math.pi * variance) + 1)
    assert plain["kl_top_nats"] == pytest.approx(0.5 * math.log(variance), rel=0.1)
    assert plain["elbo_nats"] == pytest.approx(evidence, abs=0.03)
    assert collapsed["kl_top_nats"] < 3e-3


# Divergence


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("after", [0, 4, 10, 19])
def test_a_member_that_diverges_is_frozen_and_leaves_its_neighbours_alone(make_cell, data, after, value):
    case = make_cell(smoothed_networks=NETWORKS)
    pack = train(PackTraining(case, MEMBERS, data), until=after)
    poison(pack, row=2, value=value)
    outcomes = train(pack).outcomes()
    # Step 0 is evaluated before it is trained, so that the evaluation finds it out.
    assert outcomes[2].diverged_at_step == (after + 1 if after else 0)
    assert [metrics["step"] for metrics in outcomes[2].history] == [s for s in (0, 10) if 0 < after >= s]
    assert np.isfinite(numbers(outcomes[2])).all()

    without = train(
        PackTraining(case, [member for member in MEMBERS if member != MEMBERS[2]], data)
    ).outcomes()
    for ours, theirs in zip([outcomes[row] for row in (0, 1, 3, 4)], without, strict=True):
        assert ours.diverged_at_step is None
        assert_close(ours, theirs)


def test_the_test_split_is_measured_with_the_weights_of_the_best_evaluation(make_cell, data):
    """They equal a pack that ends at that step. The learning rate makes the bound fall later."""
    keys = {"learning_rate": 0.1, "eval_every": 2, "bound_samples": 5, "smoothed_networks": ()}
    members = MEMBERS[1:4]
    actual = train(PackTraining(make_cell(steps=40, select="best", **keys), members, data)).outcomes()
    best = []
    for index, outcome in enumerate(actual):
        highest = max(outcome.history, key=lambda metrics: metrics["elbo_nats"])
        assert outcome.test["selected_step"] == highest["step"]
        best.append(highest["step"])
        if highest["step"]:
            short = make_cell(steps=highest["step"], select="last", **keys)
            last = train(PackTraining(short, members, data)).outcomes()[index]
            assert last.test == outcome.test
    assert any(0 < step < 40 for step in best)


def test_an_infinite_loss_is_a_divergence(make_cell, data):
    """A posterior mean of 1e200 overflows when squared: the KL and the loss are +inf, not NaN."""
    pack = train(PackTraining(make_cell(latents=(3,)), MEMBERS[:2], data), until=4)
    state = through_a_file(pack.state_dict())
    state["parameters"]["inference.0.1.bias"][1, :3] = 1e200
    pack.load_state_dict(state)
    probe = PackTraining(make_cell(latents=(3,)), MEMBERS[:2], data)
    probe.load_state_dict(state)
    assert probe.losses_and_gradients()[0][1] == math.inf
    assert [outcome.diverged_at_step for outcome in train(pack).outcomes()] == [None, 5]


def test_each_member_has_its_own_step_of_divergence(make_cell, data):
    pack = train(PackTraining(make_cell(), MEMBERS, data), until=2)
    poison(pack, row=4)
    train(pack, until=7)
    poison(pack, row=0)
    train(pack, until=12)
    poison(pack, row=0)  # the first of those that are left, member 1
    actual = [outcome.diverged_at_step for outcome in train(pack).outcomes()]
    assert actual == [8, 13, None, None, 3]


def test_a_pack_whose_members_all_diverged_is_done(make_cell, data):
    pack = train(PackTraining(make_cell(), MEMBERS[:2], data), until=5)
    for row in range(2):
        poison(pack, row)
    assert train(pack).step == 10
    assert pack.done
    assert [outcome.diverged_at_step for outcome in pack.outcomes()] == [6, 6]
    assert pack.parameters_per_member == PackTraining(make_cell(), MEMBERS[:2], data).parameters_per_member
    pack.train_step()
    pack.evaluate()
    assert pack.step == 10


def test_a_member_whose_last_step_ruins_it_has_diverged_though_its_losses_were_finite(make_cell, data):
    case = make_cell(steps=1, learning_rate=1e30, precision="float32", bound_samples=2)
    for outcome in train(PackTraining(case, MEMBERS[:2], data)).outcomes():
        assert outcome.diverged_at_step == 1
        assert outcome.test is None
        assert [metrics["step"] for metrics in outcome.history] == [0]


# Checkpoints


def ends(pack):
    return train(pack).outcomes(), parameters(pack)


def assert_same_ends(ours, theirs):
    assert ours[0] == theirs[0]
    torch.testing.assert_close(ours[1], theirs[1], rtol=0, atol=0, equal_nan=True)


def test_a_pack_can_be_interrupted_anywhere(make_cell, data):
    """Before the first step, inside an epoch, at an evaluation and at an epoch's end."""
    case = make_cell(smoothed_networks=NETWORKS)
    uninterrupted = PackTraining(case, MEMBERS, data)
    states = []
    for step in (0, 1, 8, 10, 16, 19):
        states.append(through_a_file(train(uninterrupted, until=step).state_dict()))
    expected = ends(uninterrupted)
    for state in states:
        resumed = PackTraining(case, MEMBERS, data)
        resumed.load_state_dict(state)
        assert_same_ends(ends(resumed), expected)


@pytest.mark.parametrize("interrupted_at", [6, 10, 15])
def test_a_loaded_pack_continues_exactly_after_a_member_diverged(make_cell, data, interrupted_at):
    """At step 6 the divergence is only noted; from step 10 the row is gone."""
    case = make_cell(smoothed_networks=NETWORKS)

    def poisoned():
        pack = train(PackTraining(case, MEMBERS, data), until=4)
        poison(pack, row=1)
        return pack

    first = train(poisoned(), until=interrupted_at)
    resumed = PackTraining(case, MEMBERS, data)
    resumed.load_state_dict(through_a_file(first.state_dict()))
    uninterrupted = ends(poisoned())
    assert_same_ends(ends(resumed), uninterrupted)
    assert [outcome.diverged_at_step for outcome in uninterrupted[0]] == [None, 5, None, None, None]


# Measured at given weights


@pytest.mark.parametrize("select", ["last", "best"])
def test_the_weights_of_a_trained_pack_give_its_numbers_to_the_bit(make_cell, data, select, monkeypatch):
    """Beside members that left the pack early, and between its last two evaluations."""
    shapes = []

    def noted(measure):
        def measured(self, *samples):
            shapes.append(self._rows)
            return measure(self, *samples)

        return measured

    monkeypatch.setattr(PackTraining, "_measure_validation", noted(PackTraining._measure_validation))
    monkeypatch.setattr(PackTraining, "_measure_test", noted(PackTraining._measure_test))
    measures = {"bound_samples": 3, "bound_images": 5, "gradient_samples": 3, "gradient_rho": 0.5}
    cell = make_cell(precision="float32", select=select, **measures)
    pack = PackTraining(cell, MEMBERS, data)
    for row, until in ((1, 4), (2, 14)):
        while pack.step < until:
            pack.train_step()
        poison(pack, row)
    outcomes = train(pack).outcomes()
    diverged = {place: o.diverged_at_step for place, o in enumerate(outcomes) if o.diverged_at_step}
    assert sorted(step <= 10 for step in diverged.values()) == [False, True]
    at_the_end = shapes[-2:]
    assert [len(rows) for rows in at_the_end] == [4, 3]
    for best in {False, select == "best"}:
        places, weights = pack.weights(best)
        measured = PackTraining(cell, MEMBERS, data).measured(places, weights, diverged)
        assert list(measured) == places
        assert shapes[-2:] == at_the_end
        for place, metrics in measured.items():
            history, test = outcomes[place].history[-1], dict(outcomes[place].test)
            step = test.pop("selected_step")
            if not best:
                assert {"step": 20} | metrics.validation == history
            if best == (select == "best") or step == 20:
                assert metrics.test == test


def test_weights_of_other_members_are_refused(make_cell, data):
    places, weights = PackTraining(make_cell(), MEMBERS, data).weights()
    other = PackTraining(make_cell(hidden=(9,)), MEMBERS, data)
    with pytest.raises(ValueError, match="names or shapes of the weights differ from those of the members"):
        other.measured(places, weights, {})
    with pytest.raises(ValueError, match="names or shapes"):
        PackTraining(make_cell(), MEMBERS, data).measured(places[:2], weights, {})
