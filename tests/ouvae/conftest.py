"""Fixtures: cells of a small model, a small data set, exact quadrature."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch

from ouvae.data import Dataset
from ouvae.declared import Cell
from ouvae.systems import Draws
from ouvae.training.noise import single_draws

torch.set_num_threads(1)

SMALL = Cell(
    dataset="digits",
    latents=(3, 2),
    hidden=(8,),
    ou_samples=3,
    steps=20,
    batch_size=7,
    learning_rate=1e-2,
    eval_every=10,
    precision="float64",
)


@pytest.fixture
def make_cell() -> Callable[..., Cell]:
    """Return a factory of cells of a small float64 model, with changes."""
    return lambda **changes: Cell(**{**dict(SMALL), **changes})


@pytest.fixture
def linear(make_cell) -> Callable[..., Cell]:
    """Return a factory of cells of the linear Gaussian VAE."""

    def factory(**changes: object) -> Cell:
        control = {
            "architecture": "affine",
            "latents": (1,),
            "hidden": (),
            "likelihood": "gaussian",
            "observation_variance": 1.0,
            "smoothed_networks": ("likelihood",),
        }
        return make_cell(**{**control, **changes})

    return factory


@pytest.fixture(scope="session")
def data_of() -> Callable[[tuple[int, ...]], Dataset]:
    """Return a function that gives 60 / 20 / 10 images of a shape, bright in one of two halves."""

    def dataset(image_shape: tuple[int, ...]) -> Dataset:
        generator = np.random.default_rng(3)
        pixels = math.prod(image_shape)

        def images(count: int) -> np.ndarray:
            left = generator.random((count, 1)) < 0.5
            half = np.repeat([[True, False]], pixels // 2, axis=1)
            bright = np.where(left == half, 0.9, 0.1)
            return np.clip(bright + 0.1 * generator.random((count, pixels)) - 0.05, 0, 1).astype(np.float32)

        return Dataset("small", images(60), images(20), images(10), image_shape, "dynamic")

    return dataset


@pytest.fixture(scope="session")
def data(data_of) -> Dataset:
    """Return the images of 3x4 pixels."""
    return data_of((3, 4))


@pytest.fixture
def draw() -> Callable[[Cell, int], Draws]:
    """Return a function that gives the noise of one forward pass of `batch` images."""

    def single(cell: Cell, batch: int) -> Draws:
        generator = torch.Generator().manual_seed(11)
        return single_draws(cell, (batch,), generator, getattr(torch, cell.precision))

    return single


@pytest.fixture(scope="session")
def gauss_hermite() -> Callable[[int], tuple[torch.Tensor, torch.Tensor]]:
    """Return a function that gives n nodes and weights: exact for N(0, 1) up to degree 2n - 1."""

    def rule(count: int) -> tuple[torch.Tensor, torch.Tensor]:
        nodes, weights = np.polynomial.hermite_e.hermegauss(count)
        return torch.from_numpy(nodes), torch.from_numpy(weights / weights.sum())

    return rule


@pytest.fixture(scope="session")
def hermite() -> Callable[[int, torch.Tensor], torch.Tensor]:
    """Return He_n(x), the probabilists' Hermite polynomial."""

    def evaluate(degree: int, x: torch.Tensor) -> torch.Tensor:
        coefficients: Sequence[float] = [0.0] * degree + [1.0]
        return torch.from_numpy(np.polynomial.hermite_e.hermeval(x.numpy(), coefficients))

    return evaluate
