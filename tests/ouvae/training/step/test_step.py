"""The traced step gives the numbers of the eager step, to the bit."""

import pytest
import torch
from torch import nn

from ouvae.systems import Draws
from ouvae.training.noise import sample_draws
from ouvae.training.pack import PackTraining
from ouvae.training.step import step

MEMBERS = [(0.4, 0), (0.8, 0), (1.0, 3)]


@pytest.fixture(autouse=True)
def _no_trace_yet():
    step.traced_step.cache_clear()


def trained(case, data, steps=1000) -> PackTraining:
    pack = PackTraining(case.model_copy(update={"steps": steps, "eval_every": steps}), MEMBERS, data)
    for _ in range(5):
        pack.train_step()
    return pack


def assert_same_weights(first, second) -> None:
    for ours, theirs in zip(first._parameters.values(), second._parameters.values(), strict=True):
        assert torch.equal(ours, theirs)


CASES = {
    "vae": {},
    "all networks, float32": {
        "smoothed_networks": ("generative", "inference", "likelihood"),
        "precision": "float32",
    },
    "iwae": {"objective": "iwae", "importance_samples": 3, "smoothed_networks": ()},
    "free bits while the KL warms up": {"objective": "free_bits", "free_bits_nats": 0.3, "kl_warmup": 4},
    "hermite": {"system": "hermite", "hermite_degree": 3, "latents": (4,)},
    "lvae": {"system": "lvae", "smoothed_networks": ()},
    "biva": {"system": "biva", "smoothed_networks": ()},
}


@pytest.mark.parametrize("keys", CASES.values(), ids=CASES)
def test_both_give_the_same_weights(make_cell, data, monkeypatch, keys):
    case = make_cell(**keys)
    traced = trained(case, data)
    monkeypatch.setattr("ouvae.training.pack.TRACED_FROM", 10**9)
    eager = trained(case, data)
    assert step.traced_step.cache_info().misses == 1, "exactly one of them is traced"
    assert_same_weights(traced, eager)


def test_without_tracing_steps_are_eager(make_cell, data, monkeypatch):
    traced = trained(make_cell(), data)
    step.traced_step.cache_clear()
    monkeypatch.setattr("ouvae.torch_internals.make_fx", None)
    assert_same_weights(traced, trained(make_cell(), data))


def test_packs_of_a_cell_share_a_program_and_smaller_packs_have_another(make_cell, data):
    case = make_cell()
    trained(case, data)
    pack = trained(case, data)
    assert step.traced_step.cache_info().misses == 1
    pack._bad_step[1] = 5
    pack._freeze_diverged()
    pack.train_step()
    assert step.traced_step.cache_info().misses == 2
    assert len(next(iter(pack._parameters.values()))) == 2


def test_an_unused_parameter_has_no_gradient(make_cell, data):
    case = make_cell()
    pack = trained(case, data)
    model = pack._model
    model.unused = nn.Parameter(torch.zeros(2, device="meta"))
    draws = sample_draws(case, (5,), pack._feed._generators, torch.float64)
    member_draws = Draws(*(tuple(piece[[0, 0, 1]] for piece in group) for group in draws))
    x = torch.ones(3, 5, 12, dtype=torch.float64)
    inputs = step.Inputs(x, member_draws, pack._values, torch.ones(()))
    unused = torch.ones(3, 2, dtype=torch.float64, requires_grad=True)
    values = pack._parameters | {"unused": unused}
    *_, gradients = step.eager_step(case, model, {})(values, inputs)
    by_name = dict(zip(values, gradients, strict=True))
    assert not by_name.pop("unused").any()
    assert all(gradient.any() for gradient in by_name.values())


def test_short_trainings_are_not_traced(make_cell, data):
    trained(make_cell(), data, steps=step.TRACED_FROM - 1)
    assert step.traced_step.cache_info().misses == 0
