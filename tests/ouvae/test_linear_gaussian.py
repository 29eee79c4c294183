"""The exact threshold of the linear Gaussian VAE, against the curvature of its smoothed objective."""

import itertools
import math
from collections.abc import Sequence

import pytest
import torch
from scipy.optimize import minimize
from torch.autograd.functional import hessian
from torch.func import functional_call

from ouvae.declared import Cell
from ouvae.declared.retained_variance import retained_variance
from ouvae.linear_gaussian import critical_rho, critical_values
from ouvae.systems import Draws, draw_shapes
from ouvae.training.pack import initial_model
from ouvae.training.step.objectives import loss as objective


def test_known_values():
    assert critical_rho([0.8], 1.0, 5) == pytest.approx(0.866025, abs=1e-6)
    assert critical_rho([1.6], 2.0, 5) == pytest.approx(0.866025, abs=1e-6)
    assert critical_rho([0.75], 1.0, 2) == pytest.approx(math.sqrt(0.5))
    assert critical_rho([1.25], 1.0, 4, "ambient") == pytest.approx(math.sqrt(0.5))
    assert critical_rho([2.0], 1.0, 3, "ambient") == pytest.approx(0.5)
    assert critical_rho([1.6], 1.0, 5, "posterior", 2.0) == pytest.approx(0.866025, abs=1e-6)
    assert critical_rho([0.4], 1.0, 5, "shrink", 0.5) == pytest.approx(0.866025, abs=1e-6)
    assert critical_rho([0.8], 1.0, 5, "posterior", 0.0) is None


@pytest.mark.parametrize(
    ("variance", "draws", "form"),
    [
        (1.0, 5, "posterior"),
        (1.2, 5, "posterior"),
        (0.2, 5, "posterior"),
        (0.1, 5, "posterior"),
        (0.8, 1, "posterior"),
        (1.0, 5, "shrink"),
        (0.2, 5, "shrink"),
        (0.8, 1, "shrink"),
        (1.0, 5, "ambient"),
        (0.8, 5, "ambient"),
    ],
)
def test_no_threshold_outside_the_range(variance, draws, form):
    assert critical_rho([variance], 1.0, draws, form) is None


@pytest.mark.parametrize("form", ["posterior", "shrink"])
def test_at_the_threshold_the_retained_variance_is_the_datas(form):
    for ratio in (0.25, 0.5, 0.95):
        rho = critical_rho([ratio * 3.0], 3.0, 6, form)
        assert retained_variance(rho, 6) == pytest.approx(ratio)


def test_the_largest_variance_decides():
    for form, variances in (("posterior", [0.5, 0.8, 0.3]), ("ambient", [0.5, 1.4, 1.2])):
        largest = critical_rho([max(variances)], 1.0, 5, form)
        assert critical_rho(variances, 1.0, 5, form) == largest
    assert critical_rho([0.5, 1.1], 1.0, 5) is None


class Expected:
    """The expected loss of a linear cell at a rho, as a function of all parameters in one vector.

    The objective of the model is quadratic in x, eps and omega, so that signs ±1 in every combination
    give its expectation exactly. `start` has small random weights.
    """

    def __init__(self, case: Cell, variances: Sequence[float], rho: float) -> None:
        self.case, self.rho = case, torch.tensor(rho, dtype=torch.float64)
        self.model = initial_model(case, (len(variances),), seed=0)
        self.shapes = {name: value.shape for name, value in self.model.named_parameters()}
        shapes = draw_shapes(case, (1,))
        groups = [shapes.base, shapes.generative, shapes.likelihood, shapes.inference]
        counts = [math.prod(shape) for group in groups for shape in group]
        signs = torch.tensor(
            list(itertools.product((-1.0, 1.0), repeat=len(variances) + sum(counts))), dtype=torch.float64
        )
        self.x = signs[:, : len(variances)] * torch.tensor(variances, dtype=torch.float64).sqrt()
        noise = iter(torch.split(signs[:, len(variances) :], counts, -1))
        self.noise = Draws(*(tuple(self._draw(next(noise), shape) for shape in group) for group in groups))
        generator = torch.Generator().manual_seed(1)
        size = sum(shape.numel() for shape in self.shapes.values())
        self.start = 0.3 * torch.randn(size, generator=generator, dtype=torch.float64)

    @staticmethod
    def _draw(signs: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
        """Return signs [B, n] as noise of the shape [B, d], or [K, B, d]."""
        if len(shape) == 2:
            return signs
        return signs.view(len(signs), shape[0], shape[-1]).transpose(0, 1)

    def parameters(self, values: torch.Tensor) -> dict[str, torch.Tensor]:
        parts = torch.split(values, [shape.numel() for shape in self.shapes.values()])
        return {name: part.view(self.shapes[name]) for name, part in zip(self.shapes, parts, strict=True)}

    def __call__(self, values: torch.Tensor) -> torch.Tensor:
        terms = functional_call(self.model, self.parameters(values), (self.x, self.noise, self.rho))
        return objective(self.case, terms)

    def optimum(self) -> dict[str, torch.Tensor]:
        """Return the parameters at the minimum that a search from the start finds."""
        found = minimize(
            lambda values: self(torch.from_numpy(values)).item(),
            self.start.numpy(),
            jac=lambda values: torch.func.grad(self)(torch.from_numpy(values)).numpy(),
            options={"maxiter": 3000, "gtol": 1e-9},
        )
        return self.parameters(torch.from_numpy(found.x))


def unit_kls(mean: torch.Tensor, covariance: torch.Tensor, log_scale: torch.Tensor) -> list[float]:
    """Return the KL of each unit of N(mean y, scale^2) from N(0, 1), for y ~ N(0, covariance)."""
    second = (mean @ covariance @ mean.T).diagonal()
    kl = (second + (2 * log_scale).exp() - 1 - 2 * log_scale) / 2
    return sorted(kl.tolist(), reverse=True)


@pytest.fixture
def curvature(linear):
    """Return the gradient's size and the smallest eigenvalue of the Hessian at the collapsed point."""

    def at_collapse(variances, observation_variance, draws, form, rho, weight=1.0):
        case = linear(
            latents=(1,),
            observation_variance=observation_variance,
            ou_samples=draws,
            smoothing=form,
            top_kl_weight=weight,
        )
        loss = Expected(case, variances, rho)
        flat = torch.zeros_like(loss.start)
        slope = torch.func.grad(loss)(flat).abs().max().item()
        return slope, torch.linalg.eigvalsh(hessian(loss, flat)).min().item()

    return at_collapse


@pytest.mark.parametrize("form", ["posterior", "shrink"])
@pytest.mark.parametrize(
    ("variances", "observation_variance", "draws"),
    [([0.8], 1.0, 5), ([0.9], 1.5, 3), ([0.75], 1.0, 2), ([0.5, 0.8], 1.0, 4)],
)
def test_two_forms_are_collapsed_above_the_threshold(curvature, variances, observation_variance, draws, form):
    critical_value = critical_rho(variances, observation_variance, draws, form)
    for rho, collapsed in (
        (critical_value - 1e-3, False),
        (critical_value + 1e-3, True),
        (0.0, False),
        (1.0, True),
    ):
        slope, least = curvature(variances, observation_variance, draws, form, rho)
        assert slope < 1e-12
        assert (least > 0) == collapsed, rho
    assert curvature(variances, observation_variance, draws, form, critical_value)[1] == pytest.approx(
        0, abs=1e-9
    )


@pytest.mark.parametrize(("variances", "draws"), [([1.25], 4), ([1.1], 5), ([0.5, 1.5], 2)])
def test_ambient_form_is_collapsed_below_the_threshold(curvature, variances, draws):
    critical_value = critical_rho(variances, 1.0, draws, "ambient")
    for rho, collapsed in (
        (critical_value - 1e-3, True),
        (critical_value + 1e-3, False),
        (0.0, True),
        (1.0, False),
    ):
        slope, least = curvature(variances, 1.0, draws, "ambient", rho)
        assert slope < 1e-12
        assert (least > 0) == collapsed, rho
    assert curvature(variances, 1.0, draws, "ambient", critical_value)[1] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("form", ["posterior", "shrink", "ambient"])
@pytest.mark.parametrize("rho", [0.0, 0.5, 1.0])
def test_without_a_threshold_the_sign_is_constant(curvature, form, rho):
    if form != "ambient":
        assert curvature([1.2], 1.0, 5, form, rho)[1] < 0
        assert curvature([0.1], 1.0, 5, form, rho)[1] > 0
        assert curvature([0.8], 1.0, 1, form, rho)[1] > 0
    else:
        assert curvature([0.9], 1.0, 5, form, max(rho, 1e-3))[1] > 0


@pytest.mark.parametrize("weight", [0.5, 0.8, 1.0, 1.5])
def test_the_plain_model_is_collapsed_for_a_data_variance_up_to_the_kls_weight(curvature, weight):
    for ratio, collapsed in ((weight - 1e-3, True), (weight + 1e-3, False)):
        slope, least = curvature([2 * ratio], 2.0, 5, "posterior", 1.0, weight)
        assert slope < 1e-12
        assert (least > 0) == collapsed
    assert curvature([2 * weight], 2.0, 5, "posterior", 1.0, weight)[1] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("form", ["posterior", "shrink", "ambient"])
@pytest.mark.parametrize(("variance", "weight"), [(0.5, 0.7), (1.2, 1.5), (1.2, 0.9)])
def test_the_threshold_of_a_weighted_kl(curvature, form, variance, weight):
    critical_value = critical_rho([variance], 1.0, 4, form, weight)
    assert (critical_value is not None) == ((variance > weight) == (form == "ambient"))
    if critical_value is not None:
        for rho, above in ((critical_value - 1e-3, False), (critical_value + 1e-3, True)):
            least = curvature([variance], 1.0, 4, form, rho, weight)[1]
            assert (least > 0) == (above != (form == "ambient")), rho
        assert curvature([variance], 1.0, 4, form, critical_value, weight)[1] == pytest.approx(0, abs=1e-9)


def test_without_any_weight_nothing_collapses(curvature):
    assert curvature([1e-3], 1.0, 5, "posterior", 0.5, 0.0)[1] < 0


CONTROLS = ("rho", "kl_weight", "top_kl_weight", "observation_variance")


@pytest.mark.parametrize("form", ["posterior", "ambient"])
@pytest.mark.parametrize("control", CONTROLS)
def test_the_kth_unit_collapses_where_a_model_of_the_kth_eigenvalue_does(linear, control, form):
    scale = 2 if form == "ambient" else 1
    variances = [scale * s for s in (0.6, 0.9, 0.3, 0.75)]
    keys = {"smoothing": form, "rho": 0.8, "kl_weight": 1.1, "observation_variance": 0.9, "ou_samples": 5}
    known = critical_values(linear(latents=(3,), data_variance=variances, **keys), control)
    largest = sorted(variances, reverse=True)
    single = [critical_values(linear(data_variance=[s], **keys), control)["kl_top"] for s in largest[:3]]
    assert [known[f"kl_top_unit_{k}"] for k in (1, 2, 3)] == single
    assert known["kl_top"] == known["information_top"] == single[0]
    assert "kl_top_unit_4" not in known
    rising = control == "rho" and form == "ambient"
    assert single == sorted(single, reverse=not rising)


def test_the_eigenvalues_of_data_stand_for_those_of_a_gaussian(linear):
    values = (0.9, 0.7, 0.2)
    case = linear(latents=(2,))
    assert critical_values(case, "kl_weight") == {}
    expected = critical_values(linear(latents=(2,), data_variance=values), "kl_weight")
    assert critical_values(case, "kl_weight", values) == expected


@pytest.mark.parametrize("active", [0, 1, 2])
@pytest.mark.parametrize("rho", [0.5, 1.0])
def test_units_of_the_optimum_collapse_one_after_another(linear, rho, active):
    """Of four units and three eigenvalues, between the critical weights."""
    variances = [0.9, 0.5, 0.2]
    case = linear(latents=(4,), data_variance=variances, rho=rho, smoothing="shrink")
    critical = [critical_values(case, "kl_weight")[f"kl_top_unit_{k}"] for k in (1, 2, 3)]
    weight = (
        2 * critical[0],
        *map(math.sqrt, itertools.starmap(float.__mul__, itertools.pairwise(critical))),
    )
    case = case.model_copy(update={"kl_weight": weight[active]})
    found = Expected(case, variances, rho).optimum()
    mean, log_scale = found["inference.0.mean.weight"], found["inference.0.log_scale"]
    kl = unit_kls(mean, torch.diag(torch.tensor(variances, dtype=torch.float64)), log_scale)
    assert kl[active:] == pytest.approx([0] * (4 - active), abs=1e-9)
    assert all(value > 0.05 for value in kl[:active])
    if rho == 1:
        law = [math.log(b / case.kl_weight) / 2 for b in critical[:active]]
        assert kl[:active] == pytest.approx(law, abs=1e-7)
        signal = (found["likelihood.weight"] @ mean).diagonal()[:active]
        assert signal.tolist() == pytest.approx([1 - case.kl_weight / b for b in critical[:active]], abs=1e-6)


def two_layers(linear, **keys):
    """Return a cell of two layers, p(z_1|z_2) smoothed, with s^2/sigma_x^2 = 0.9 and 0.4."""
    shared = {"latents": (2, 2), "data_variance": (0.9, 0.4), "smoothed_networks": ("generative",)}
    return linear(**shared | {"smoothing": "shrink", "ou_samples": 4} | keys)


def top_of(found, variances):
    """Return the KLs of z_2's units and the information of z_2 about x, in nats."""
    covariance = torch.diag(torch.tensor(variances, dtype=torch.float64))
    encoder, mean = found["inference.0.mean.weight"], found["inference.1.mean.weight"]
    noise = torch.diag((2 * found["inference.0.log_scale"]).exp())
    log_scale = found["inference.1.log_scale"]
    given_x = mean @ noise @ mean.T + torch.diag((2 * log_scale).exp())
    signal = mean @ encoder @ covariance @ encoder.T @ mean.T
    information = (torch.logdet(given_x + signal) - torch.logdet(given_x)).item() / 2
    return unit_kls(mean, encoder @ covariance @ encoder.T + noise, log_scale), information


@pytest.mark.parametrize(
    ("keys", "units", "informed"),
    [
        ({"rho": 0.7, "top_kl_weight": 1.55, "kl_weight": 0.5}, 2, True),
        ({"rho": 0.7, "top_kl_weight": 1.65, "kl_weight": 0.5}, 0, False),
        ({"rho": 0.7, "top_kl_weight": 1.3, "kl_weight": 0.85}, 2, True),
        ({"rho": 0.7, "top_kl_weight": 1.3, "kl_weight": 0.95}, 2, False),
        ({"rho": 1.0, "top_kl_weight": 1.05, "kl_weight": 0.5}, 0, False),
        ({"rho": 0.7, "top_kl_weight": 1.3, "observation_variance": 1.1}, 2, False),
        ({"rho": 0.7, "top_kl_weight": 1.3, "kl_weight": 1.2, "likelihood": True}, 2, True),
        ({"rho": 0.7, "top_kl_weight": 1.3, "kl_weight": 1.6, "likelihood": True}, 2, False),
        ({"rho": 0.7, "top_kl_weight": 0.75, "smoothing": "ambient", "latents": (1, 1)}, 1, False),
        ({"rho": 0.7, "top_kl_weight": 0.85, "smoothing": "ambient", "latents": (1, 1)}, 0, False),
    ],
)
def test_phases_of_two_layers_are_those_of_the_optimum(linear, keys, units, informed):
    """g(0.7, 4) is 0.6175, its inverse 1.62; the ambient form's 1.26, its inverse 0.79."""
    if keys.pop("likelihood", False):
        keys |= {"smoothed_networks": ("generative", "likelihood")}
    case = two_layers(linear, **keys)
    kl, information = top_of(Expected(case, case.data_variance, case.rho).optimum(), case.data_variance)
    assert [value > 1e-3 for value in kl] == [True] * units + [False] * (len(kl) - units)
    assert (information > 1e-3) == informed
    for control in CONTROLS:
        known = critical_values(case, control)
        if "kl_top" in known:
            below = getattr(case, control) < known["kl_top"]
            assert (below != (control == "rho" and case.smoothing == "ambient")) == (units > 0)
        if "information_top" in known:
            below = getattr(case, control) < known["information_top"]
            assert below == informed


def test_the_top_layer_between_its_lines_is_that_of_the_closed_form(linear):
    case = two_layers(linear, rho=0.7, top_kl_weight=1.3, kl_weight=0.95)
    kl, _ = top_of(Expected(case, case.data_variance, case.rho).optimum(), case.data_variance)
    g, weight = retained_variance(0.7, 4), 1.3
    v = (weight - 1) / (weight * (1 - g))
    assert kl == pytest.approx([(1 / weight - g * v + v - 1 - math.log(v)) / 2] * 2, abs=1e-6)


def test_lines_of_two_layers(linear):
    g = retained_variance(0.7, 4)
    case = two_layers(linear, rho=0.7, top_kl_weight=1.3, kl_weight=0.5)
    assert critical_values(case, "top_kl_weight") == pytest.approx(
        {name: 1 / g for name in ("kl_top", "information_top", "kl_top_unit_1", "kl_top_unit_2")}
    )
    at_rho = critical_values(case, "rho")
    assert retained_variance(at_rho["kl_top"], 4) == pytest.approx(1 / 1.3)
    assert at_rho["information_top"] == at_rho["kl_top"]
    assert critical_values(case, "kl_weight") == pytest.approx({"information_top": 0.9})
    assert critical_values(case, "observation_variance") == pytest.approx({"information_top": 1.8})
    assert "kl_top" in critical_values(case.model_copy(update={"kl_weight": 1.0}), "rho")
    for keys in ({"kl_weight": 1.0}, {"latents": (2, 1)}):
        assert "information_top" not in critical_values(case.model_copy(update=keys), "rho"), keys
    both = case.model_copy(update={"smoothed_networks": ("generative", "likelihood"), "kl_weight": 1.2})
    known = critical_values(both, "rho")
    assert retained_variance(known["kl_top"], 4) == pytest.approx(1 / 1.3)
    assert retained_variance(known["information_top"], 4) == pytest.approx(0.9 / 1.2)
    assert critical_values(case.model_copy(update={"latents": (2, 2, 2)}), "rho") == {}


def test_with_the_weight_one_the_top_kl_grows_without_bound(linear):
    """At rho < 1 the loss falls as the scale of q(z_2|z_1) goes to 0; it has no minimum."""
    case = two_layers(linear, rho=0.7, latents=(1, 1), data_variance=(0.5,))
    loss = Expected(case, case.data_variance, case.rho)
    assert "kl_top" not in critical_values(case, "rho")
    found = loss.optimum()
    (kl,), information = top_of(found, case.data_variance)
    assert kl > 4
    assert information < 1e-3
