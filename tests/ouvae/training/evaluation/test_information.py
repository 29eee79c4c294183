"""The information of the top layer, against exact values of linear Gaussian models."""

import math

import pytest
import torch

from ouvae.data import load as load_data
from ouvae.training.evaluation import information as module
from ouvae.training.evaluation.information import (
    INFORMATION_IMAGES,
    INFORMATION_PROPOSALS,
    INFORMATION_SAMPLES,
    Information,
    information,
    probe_count,
)
from ouvae.training.pack import PackTraining
from tests.ouvae.packs import train

REPEATS = 8


class Chain:
    """x -> z_1 -> ... -> z_L, linear with isotropic noise; `REPEATS` members with different images.

    Args:
        weights: matrix of each layer, [d_l, d_l-1].
        scales: standard deviation of each layer's noise.
        images: N.
    """

    def __init__(self, weights: list[torch.Tensor], scales: list[float], images: int = INFORMATION_IMAGES):
        self.weights, self.scales = weights, scales
        self.generator = torch.Generator().manual_seed(0)
        self.x = self.normal(REPEATS, 1, images, weights[0].shape[1])
        self.sizes = [len(weight) for weight in weights]

    def normal(self, *shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=self.generator)

    def top(self, e: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        mean = self.x @ self.weights[0].T
        below = e.split(self.sizes[:-1], -1) if len(self.sizes) > 1 else ()
        for noise, scale, weight in zip(below, self.scales, self.weights[1:], strict=False):
            mean = (mean + scale * noise) @ weight.T
        mean = mean.expand(*e.shape[:-1], -1)
        return mean, torch.full_like(mean, math.log(self.scales[-1]))

    def exact(self) -> tuple[float, float]:
        """Return I(x; z_L) and I(e; z_L | x), the top layer's information about the noise below."""
        size = self.weights[0].shape[1]
        of_x, of_noise = torch.eye(size), torch.zeros(size, size)
        for weight, scale in zip(self.weights, self.scales, strict=True):
            of_x = weight @ of_x @ weight.T
            of_noise = weight @ of_noise @ weight.T + scale**2 * torch.eye(len(weight))
        given_x = float(torch.logdet(of_noise.double()))
        log_determinant = 2 * len(of_noise) * math.log(self.scales[-1])
        return float(torch.logdet((of_x + of_noise).double()) - given_x) / 2, (given_x - log_determinant) / 2

    def information(self) -> Information:
        images, below, size = self.x.shape[2], sum(self.sizes[:-1]), self.sizes[-1]
        samples = REPEATS, INFORMATION_SAMPLES, images
        proposals = REPEATS, INFORMATION_PROPOSALS, INFORMATION_SAMPLES, images
        e = self.normal(*samples, below)
        mean, log_scale = self.top(e)
        return information(
            self.top,
            self.normal(REPEATS, probe_count(below), below),
            e,
            mean + log_scale.exp() * self.normal(*samples, size),
            self.normal(*proposals, below),
            self.normal(*proposals, size),
        )


def rotation(size: int, inputs: int) -> torch.Tensor:
    """Return a random matrix [size, inputs] with orthonormal columns."""
    generator = torch.Generator().manual_seed(size)
    return torch.linalg.qr(torch.randn(size, inputs, generator=generator)).Q


def check(chain: Chain, gap: float, bias: float) -> None:
    """Compare with the exact value, allowing four standard errors of the mean over the repeats."""
    exact, _ = chain.exact()
    result = chain.information()
    estimate, lower, upper = (float(values.mean()) for values in result)
    error = max(float(values.std()) for values in result) * 4 / math.sqrt(REPEATS)
    assert lower <= exact + error
    assert upper >= exact - error
    assert upper - lower <= gap
    assert estimate == pytest.approx(exact, abs=bias + error)


@pytest.mark.parametrize(
    ("weight", "below", "above"),
    [
        *((0, 1, 0.5), (0, 1, 0.01), (0, 1, 1e-4), (0, 1, 1e-6), (0.5, 1, 0.1), (0.5, 1, 1e-6)),
        *((1, 0.3, 0.1), (2, 0.1, 0.2), (5, 0.1, 0.1), (1, 0, 0.1), (1, 0, 0.001)),
    ],
)
def test_the_bounds_meet_the_exact_value(weight, below, above):
    """In one dimension, `below` and `above` the variances of z_1 and z_2, up to 7 nats of noise."""
    check(Chain([torch.tensor([[1.0 * weight]]), torch.eye(1)], [below**0.5, above**0.5]), gap=0.8, bias=0.02)


@pytest.mark.parametrize("signal", [0.0, 0.6, 1.2])
@pytest.mark.parametrize(("layers", "top_scale"), [(2, 1.0), (2, 0.75), (3, 1.1)])
def test_the_bounds_meet_the_exact_value_of_a_layer_that_encodes_noise(signal, layers, top_scale):
    """The size of the paper's table 6: 40 dimensions, which say 10 to 20 nats of the noise below."""
    weights = [signal * rotation(40, 3), *(rotation(40, 40) for _ in range(layers - 1))]
    chain = Chain(weights, [*[1.0, 0.6][: layers - 1], top_scale])
    information_of_noise = chain.exact()[1]
    assert 10 < information_of_noise < 21
    check(chain, gap=0.3, bias=0.05)
    if signal == 0:
        result = chain.information()
        assert float(result.estimate.abs().max()) < 1e-4
        assert float(result.lower.abs().max()) < 1e-4
        assert float(result.upper.abs().max()) < 0.02


class Bent(Chain):
    """z_1 = weight x + e and z_2 of mean 2 tanh(2 z_1) and a scale that depends on z_1."""

    def __init__(self, weight: float) -> None:
        super().__init__([torch.tensor([[weight]]), torch.eye(1)], [1.0, 1.0])

    def top(self, e: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.of_lower(self.x * self.weights[0] + e)

    @staticmethod
    def of_lower(lower: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return 2 * (2 * lower).tanh(), -1 + 0.5 * lower.tanh()

    def exact(self) -> tuple[float, float]:
        """Integrate over grids of x, e and z."""
        grid = torch.linspace(-5, 5, 201, dtype=torch.float64)
        normal = torch.exp(-0.5 * grid**2) / torch.exp(-0.5 * grid**2).sum()
        z = torch.linspace(-6, 6, 601, dtype=torch.float64)
        mean, log_scale = self.of_lower(grid[:, None] * self.weights[0].double() + grid)
        scale = log_scale.exp()[..., None]
        density = torch.exp(-0.5 * ((z - mean[..., None]) / scale) ** 2) / scale
        given_x = torch.einsum("xez,e->xz", density, normal) / math.sqrt(2 * math.pi)
        ratio = (given_x / (normal @ given_x)).log()
        return float(normal @ (given_x * ratio).sum(1)) * 0.02, math.nan


@pytest.mark.parametrize("weight", [0.0, 0.5, 2.0])
def test_the_bounds_hold_for_a_nonlinear_top(weight):
    """The gap is the error of the linear models: a fifth to two fifths of a nat here."""
    check(Bent(weight), gap=0.5, bias=0.1)


def test_a_layer_that_copies_the_class_has_the_entropy_of_the_class():
    classes = 8
    chain = Chain([rotation(3, 3)], [0.01])
    chain.x = chain.x[:, :, :classes].repeat(1, 1, INFORMATION_IMAGES // classes, 1)
    # The density of the other images lacks one of the image's class.
    for values in chain.information():
        assert values.mean().item() == pytest.approx(math.log(classes), abs=0.2)


def test_a_single_image_has_no_information():
    for values in Chain([rotation(3, 3), rotation(3, 3)], [1.0, 1.0], images=1).information():
        assert values.tolist() == [0.0] * REPEATS


def test_chunks_of_probes_change_nothing_but_rounding(monkeypatch):
    results = []
    for size in (5, 1000):
        monkeypatch.setattr(module, "PROBES_AT_ONCE", size)
        results.append(torch.stack(Chain([rotation(3, 3), rotation(3, 3)], [1.0, 0.5]).information()))
    torch.testing.assert_close(*results, rtol=0, atol=1e-5)


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
    data = load_data("gaussian", data_variance=(0.5,))
    for outcome in train(PackTraining(cell, [(0.6, 0), (0.8, 0)], data)).outcomes():
        last = outcome.history[-1]
        assert last["kl_top_nats"] > 1
        assert last["kl_nats"][0] < -0.8
        assert last["kl_top_pair_nats"] == pytest.approx(sum(last["kl_nats"]))
        bounds = last["information_top_lower_nats"], last["information_top_upper_nats"]
        assert [last["information_top_nats"], *bounds] == pytest.approx([0] * 3, abs=0.02)
        assert abs(last["signal_share_top"]) < 0.1
        assert last["active_units_top"] == last["active_units"][-1] == 0


def test_a_packs_members_have_the_information_of_their_weights(make_cell):
    """A VAE of three linear layers of 40 units. Members differ in weights and seeds."""
    cell = make_cell(
        dataset="gaussian",
        data_variance=(1.0,) * 6,
        architecture="affine",
        hidden=(),
        likelihood="gaussian",
        observation_variance=1.0,
        latents=(40, 40, 40),
        precision="float32",
    )
    data, members, signals = load_data("gaussian", data_variance=(1.0,) * 6), [(0.6, 0), (0.8, 1)], (0.5, 0.0)
    results = []
    for chosen in ([0, 1], [0], [1]):
        pack = PackTraining(cell, [members[index] for index in chosen], data)
        exact = []
        for row, index in enumerate(chosen):
            weights = [signals[index] * rotation(40, 6), rotation(40, 40), 0.9 * rotation(40, 40)]
            scales = [1.0, 0.5, 0.8]
            exact.append(Chain(weights, scales).exact()[0])
            for layer, (weight, scale) in enumerate(zip(weights, scales, strict=True)):
                pack._parameters[f"inference.{layer}.mean.weight"].data[row] = weight
                pack._parameters[f"inference.{layer}.log_scale"].data[row] = math.log(scale)
        with torch.no_grad():
            results.append(pack._evaluator.top_layer(pack._validation[:INFORMATION_IMAGES])[0])
        for values in results[-1]:
            assert values.tolist() == pytest.approx(exact, abs=0.15)
    for values, *alone in zip(*results, strict=True):
        torch.testing.assert_close(values, torch.cat(alone), rtol=0, atol=1e-4)


def test_a_member_without_numbers_leaves_its_neighbours_alone():
    chain = Chain([0.5 * rotation(3, 3), rotation(3, 3)], [1.0, 0.5])
    expected = chain.information()
    chain = Chain([0.5 * rotation(3, 3), rotation(3, 3)], [1.0, 0.5])
    chain.x[1] = math.nan
    for values, others in zip(chain.information(), expected, strict=True):
        assert values[1].isnan()
        assert torch.equal(values[[0, 2]], others[[0, 2]])
