"""A step that is written down gives the numbers of the step as written, to the bit."""

import pytest
import torch
from torch import nn

from ouvae.systems import Draws
from ouvae.training.noise import sample_draws
from ouvae.training.pack import PackTraining
from ouvae.training.step import step

MEMBERS = [(0.4, 0), (0.8, 0), (1.0, 3)]


@pytest.fixture(autouse=True)
def _nothing_written_down_yet():
    step.written_down.cache_clear()


def trained(case, data, steps=1000) -> PackTraining:
    pack = PackTraining(case.model_copy(update={"steps": steps, "eval_every": steps}), MEMBERS, data)
    for _ in range(5):
        pack.train_step()
    return pack


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
    program = trained(case, data)
    monkeypatch.setattr("ouvae.training.pack.WRITTEN_DOWN_FROM", 10**9)
    written = trained(case, data)
    assert step.written_down.cache_info().misses == 1, "one of them was written down"
    for one, other in zip(program._parameters.values(), written._parameters.values(), strict=True):
        assert torch.equal(one, other)


def test_packs_of_a_cell_share_a_program_and_smaller_ones_have_their_own(make_cell, data):
    case = make_cell()
    trained(case, data)
    pack = trained(case, data)
    assert step.written_down.cache_info().misses == 1
    pack._bad_step[1] = 5
    pack._freeze_diverged()
    pack.train_step()
    assert step.written_down.cache_info().misses == 2
    assert len(next(iter(pack._parameters.values()))) == 2


def test_a_parameter_that_plays_no_role_has_no_gradient(make_cell, data):
    case = make_cell()
    pack = trained(case, data)
    model = pack._model
    model.unused = nn.Parameter(torch.zeros(2, device="meta"))
    draws = sample_draws(case, (5,), pack._feed._generators, torch.float64)
    own = Draws(*(tuple(piece[[0, 0, 1]] for piece in group) for group in draws))
    inputs = step.Inputs(torch.ones(3, 5, 12, dtype=torch.float64), own, pack._rho, torch.ones(()))
    unused = torch.ones(3, 2, dtype=torch.float64, requires_grad=True)
    values = pack._parameters | {"unused": unused}
    *_, gradients = step.as_written(case, model)(values, inputs)
    of = dict(zip(values, gradients, strict=True))
    assert not of.pop("unused").any()
    assert all(gradient.any() for gradient in of.values())


def test_short_trainings_are_not_written_down(make_cell, data):
    trained(make_cell(), data, steps=step.WRITTEN_DOWN_FROM - 1)
    assert step.written_down.cache_info().misses == 0
