"""Packs in tests: cases, training, and comparisons."""

import io
import math

import numpy as np
import torch
from torch.func import functional_call, stack_module_state, vmap

from ouvae.training.pack import initial_model
from ouvae.training.step.objectives import loss
from tests.ouvae.tensors import are_alike

NETWORKS = ("generative", "inference", "likelihood")
MEMBERS = [(1.0, 0), (0.5, 0), (0.7, 1), (0.0, 2), (1.0, 1)]
CASES = {
    "two layers": {},
    "ambient": {"smoothing": "ambient"},
    "shrink, all shrunk": {"smoothing": "shrink", "smoothed_networks": NETWORKS},
    "three layers, all smoothed": {"latents": (4, 3, 2), "smoothed_networks": NETWORKS},
    "ambient, all smoothed, warm-up": {"smoothing": "ambient", "smoothed_networks": NETWORKS, "kl_warmup": 9},
    "linear Gaussian": {
        "architecture": "affine",
        "latents": (2, 1),
        "hidden": (),
        "likelihood": "gaussian",
        "observation_variance": 0.1,
        "smoothed_networks": NETWORKS,
    },
}


def train(pack, until=None):
    while not pack.done and pack.step != until:
        pack.train_step()
    return pack


def parameters(pack):
    return {name: value.clone() for name, value in pack.state_dict()["parameters"].items()}


def numbers(outcome):
    """Return all of a member's metrics in one array, with -1 for null: evaluations, then the test."""
    measured = [*outcome.history, *filter(None, [outcome.test])]
    values = np.hstack([entry for metrics in measured for entry in metrics.values()])
    return np.array([-1.0 if value is None else value for value in values], dtype=float)


def assert_close(ours, theirs):
    assert (ours.rho, ours.seed, ours.diverged_at_step) == (theirs.rho, theirs.seed, theirs.diverged_at_step)
    np.testing.assert_allclose(numbers(ours), numbers(theirs), rtol=1e-9, atol=1e-9)


def through_a_file(state):
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def rho_one_is_plain(cell, image_shape, x, noise, rho=(1.0, 0.6, 1.0, 0.0)):
    """Compare four packed seeds at these rho with themselves unsmoothed, in values and gradients.

    Returns:
        Whether members at rho = 1 agree with the plain model, and whether the second member's losses do.
    """
    models = [initial_model(cell, image_shape, seed) for seed in range(len(rho))]
    stacked, _ = stack_module_state(models)

    def run(rho):
        def single(parameters, rho):
            terms = functional_call(models[0], parameters, (x, noise, rho))
            return terms.log_likelihood, terms.kl, loss(cell, terms)

        values = vmap(single, in_dims=(0, None if rho is None else 0))(stacked, rho)
        return [*values, *torch.autograd.grad(values[-1].sum(), list(stacked.values()))]

    plain, mixed = run(None), run(torch.tensor(rho, dtype=x.dtype))
    rows = [row for row, value in enumerate(rho) if value == 1]
    agree = all(are_alike(value[rows], other[rows]) for value, other in zip(plain, mixed, strict=True))
    return agree, are_alike(plain[2][1], mixed[2][1])


def poison(pack, row, value=math.nan):
    """Set all parameters of one row of the stacked state."""
    state = through_a_file(pack.state_dict())
    for stacked in state["parameters"].values():
        stacked[row] = value
    pack.load_state_dict(state)
