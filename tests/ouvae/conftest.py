"""Fixtures of the science's tests: settings of a small model, a small data set, exact quadrature."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch

from ouvae.data import Dataset
from ouvae.settings import Settings
from ouvae.systems import Draws
from ouvae.training.noise import single_draws

torch.set_num_threads(1)

SMALL = Settings(
    system="vae",
    objective="elbo",
    importance_samples=1,
    free_bits_nats=0.0,
    architecture="mlp",
    latents=(3, 2),
    hidden=(8,),
    pseudo_inputs=None,
    hermite_degree=None,
    likelihood="bernoulli",
    observation_variance=None,
    mixture_components=None,
    smoothing="posterior",
    smoothed_networks=("generative",),
    ou_samples=3,
    steps=20,
    batch_size=7,
    learning_rate=1e-2,
    kl_warmup=0,
    eval_every=10,
    eval_images=None,
    gradient_samples=None,
    gradient_rho=None,
    select="last",
    bound_samples=None,
    bound_images=None,
    precision="float64",
)


@pytest.fixture
def settings() -> Callable[..., Settings]:
    """Return a factory of settings: those of a small float64 model, with changes."""
    return lambda **changes: replace(SMALL, **changes)


@pytest.fixture
def linear(settings) -> Callable[..., Settings]:
    """Return a factory of settings of the linear Gaussian VAE."""

    def factory(**changes: object) -> Settings:
        control = {
            "architecture": "affine",
            "latents": (1,),
            "hidden": (),
            "likelihood": "gaussian",
            "observation_variance": 1.0,
            "smoothed_networks": ("likelihood",),
        }
        return settings(**{**control, **changes})

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
def draw() -> Callable[[Settings, int], Draws]:
    """Return a function that gives the noise of one forward pass of `batch` images."""

    def single(settings: Settings, batch: int) -> Draws:
        generator = torch.Generator().manual_seed(11)
        return single_draws(settings, (batch,), generator, getattr(torch, settings.precision))

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
