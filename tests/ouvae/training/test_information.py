"""The information of the top layer, against linear Gaussian models where it is known exactly."""

import math

import pytest
import torch

from ouvae.data import load as load_data
from ouvae.data.dataset import Dataset
from ouvae.training.information import information
from ouvae.training.pack import PackTraining

IMAGES, REPEATS = 64, 40


def two_layers(
    weight: float, below: float, above: float
) -> tuple[float, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return I(x; z_2) and draws of z_2 = z_1 + sqrt(above) e with z_1 = weight x + sqrt(below) e."""
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    x = normal(REPEATS, 1, IMAGES, 1)
    mean = weight * x + math.sqrt(below) * normal(REPEATS, IMAGES, IMAGES, 1)
    z = mean + math.sqrt(above) * normal(*mean.shape)
    log_scale = torch.full_like(mean, 0.5 * math.log(above))
    return 0.5 * math.log(1 + weight**2 / (below + above)), mean, log_scale, z


@pytest.mark.parametrize(
    ("weight", "below", "above"),
    [
        *((0, 1, 0.5), (0, 1, 0.01), (0, 1, 1e-4), (0, 1, 1e-8), (0.5, 1, 0.1), (0.5, 1, 1e-6)),
        *((1, 0.3, 0.1), (2, 0.1, 0.2), (5, 0.1, 0.1), (1, 0, 0.1), (1, 0, 0.001)),
    ],
)
def test_the_bounds_meet_the_exact_value(weight, below, above):
    """Of one layer (`below` 0) and two; also where the layer knows its own noise by 9 nats, which is more
    than the bounds can follow. The estimate is at most 0.05 nats off."""
    exact, *draws = two_layers(weight, below, above)
    found = information(*draws)
    low, middle, high = (float(values.mean()) for values in (found.lower, found.estimate, found.upper))
    errors = [4 * float(values.std()) / math.sqrt(REPEATS) for values in (found.lower, found.upper)]
    assert low < exact + errors[0]
    assert high > exact - errors[1]
    assert middle == pytest.approx(exact, abs=0.05)
    if above > 0.001:
        assert high - low < 0.4


def test_a_layer_that_copies_the_class_knows_its_logarithm():
    classes, generator = 8, torch.Generator().manual_seed(0)
    of_class = torch.randn(classes, 3, generator=generator)
    mean = of_class.repeat(IMAGES // classes, 1).expand(1, IMAGES, IMAGES, 3)
    z = mean + 0.01 * torch.randn(mean.shape, generator=generator)
    found = information(mean, torch.full_like(mean, math.log(0.01)), z)
    # A mean without the own image has one of its class less.
    for value in found:
        assert value.item() == pytest.approx(math.log(classes), abs=0.2)


def test_a_layer_that_encodes_noise_has_a_divergence_and_no_information(make_cell):
    """The negative control: z_1 is collapsed, and z_2 lowers the loss by encoding the noise of z_1.

    With g = rho^2 + (1 - rho^2)/K the smoothed loss falls below the collapsed state's by
    -(1/2) ln g - (1/2) v (1 - g), v the variance of q(z_2|z_1), at every rho below 1.
    """
    cell = make_cell(
        dataset="gaussian",
        data_variance=(0.5,),
        architecture="affine",
        hidden=(),
        likelihood="gaussian",
        observation_variance=1.0,
        latents=(1, 1),
        smoothed_networks=("generative",),
        ou_samples=5,
        learning_rate=0.02,
        batch_size=200,
        steps=700,
        eval_every=700,
    )
    pack = PackTraining(cell, [(0.6, 0), (0.8, 0)], gaussian())
    while not pack.done:
        pack.train_step()
    for outcome in pack.outcomes():
        last = outcome.history[-1]
        assert last["kl_top_nats"] > 1
        assert last["kl_nats"][0] < -0.8
        assert last["kl_top_pair_nats"] == pytest.approx(sum(last["kl_nats"]))
        assert abs(last["information_top_nats"]) < 0.05
        assert last["information_top_lower_nats"] < 0 < last["information_top_upper_nats"]
        assert abs(last["signal_share_top"]) < 0.1
        assert last["active_units_top"] == last["active_units"][-1] == 0


def gaussian() -> Dataset:
    return load_data("gaussian", data_variance=(0.5,))
