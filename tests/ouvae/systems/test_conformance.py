"""Laws that every system keeps, under every objective.

A new system joins with a line in `CASES`.
"""

import math
from dataclasses import replace

import pytest
import torch

from ouvae.data import Dataset
from ouvae.declared import SYSTEMS, Cell, keys_of
from ouvae.declared.cell import CHOICES
from ouvae.parts.activations import ACTIVATIONS
from ouvae.parts.likelihoods import likelihood_of
from ouvae.systems import Draws, System, draw_shapes, leading_axes, system_of
from ouvae.training.controls import CONTROLS
from ouvae.training.evaluation import evaluator
from ouvae.training.noise import single_draws, stream
from ouvae.training.pack import PackTraining, initial_model
from ouvae.training.step.objectives import loss
from tests.ouvae.packs import assert_close, poison, through_a_file, train
from tests.ouvae.tensors import are_alike, images

IMAGE, CONV_IMAGE, COLOUR_IMAGE = (3, 4), (4, 8), (3, 4, 4)
BATCH = 5
MEMBERS = [(0.5, 0), (1.0, 0), (1.0, 3)]

CASES = {
    "vae": {"system": "vae", "smoothed_networks": ("generative", "likelihood", "inference")},
    "vae, ambient": {"system": "vae", "smoothing": "ambient"},
    "vae, shrink": {
        "system": "vae",
        "smoothing": "shrink",
        "smoothed_networks": ("generative", "likelihood", "inference"),
    },
    "vae of one layer": {"system": "vae", "latents": (4,), "smoothed_networks": ("likelihood",)},
    "vae of four layers": {"system": "vae", "latents": (4, 3, 3, 2)},
    "vae, conv": {
        "system": "vae",
        "architecture": "conv",
        "hidden": (4, 3),
        "smoothed_networks": ("generative", "likelihood", "inference"),
    },
    "vae, conv of colour": {
        "system": "vae",
        "architecture": "conv",
        "hidden": (6, 5, 6),
        "likelihood": "logistic_mixture",
        "mixture_components": 2,
    },
    "hermite": {
        "system": "hermite",
        "latents": (4,),
        "smoothed_networks": ("likelihood",),
        "hermite_degree": 6,
    },
    "vampprior": {"system": "vampprior", "smoothed_networks": (), "pseudo_inputs": 5},
    "vampprior, standard normal": {"system": "vampprior", "smoothed_networks": (), "pseudo_inputs": 0},
    "vampprior, conv": {
        "system": "vampprior",
        "architecture": "conv",
        "hidden": (4, 3),
        "smoothed_networks": (),
        "pseudo_inputs": 5,
    },
    "lvae of one layer": {"system": "lvae", "latents": (4,), "smoothed_networks": ()},
    "lvae": {"system": "lvae", "smoothed_networks": ()},
    "lvae of four layers": {"system": "lvae", "latents": (4, 3, 3, 2), "smoothed_networks": ()},
    "biva": {"system": "biva", "smoothed_networks": ()},
    "biva of three layers": {"system": "biva", "latents": (4, 3, 2), "smoothed_networks": ()},
}
"""Keys of at least one cell for every system, in addition to the small model's."""

NETWORKS = {
    **{
        f"vae, {activation}": {"system": "vae", "activation": activation}
        for activation in ACTIVATIONS
        if activation != "relu"
    },
    **{
        f"vae, {weights}": {"system": "vae", "activation": "tanh", "initialisation": weights}
        for weights in ("xavier", "he", "orthogonal")
    },
    "vae, affine": {"system": "vae", "architecture": "affine", "hidden": ()},
    "lvae, conv": {"system": "lvae", "architecture": "conv", "hidden": (4, 4), "smoothed_networks": ()},
    "vae, layer normalisation": {"system": "vae", "normalisation": "layer"},
    "vae, conv of tanh": {"system": "vae", "architecture": "conv", "hidden": (4, 3), "activation": "tanh"},
    "hermite, elu": CASES["hermite"] | {"activation": "elu"},
    "vampprior, softplus": CASES["vampprior"] | {"activation": "softplus"},
    "lvae, gelu": CASES["lvae"] | {"activation": "gelu"},
    "biva, elu": CASES["biva"] | {"activation": "elu"},
}
"""Cells with other networks, tested under one objective, since objectives do not depend on networks."""

OBJECTIVES = {
    "elbo": {"objective": "elbo"},
    "iwae": {"objective": "iwae", "importance_samples": 3},
    "free bits": {"objective": "free_bits", "free_bits_nats": 0.05},
    "warm-up": {"objective": "elbo", "kl_warmup": 7},
    "weight of the top KL": {"objective": "elbo", "top_kl_weight": 0.3},
}


SYSTEM_CASES = list({case["system"]: name for name, case in reversed(CASES.items())}.values())
"""The first case of every system."""

PAIRS = dict.fromkeys(
    [
        *((name, objective) for name in CASES for objective in ("elbo", "iwae")),
        *((name, objective) for name in SYSTEM_CASES for objective in OBJECTIVES),
        *((name, "elbo") for name in NETWORKS),
    ]
)
"""Cells and objectives that the laws are tested with: every system with all objectives.

A system sees of its objective whether there is a sample or several: other cases have one objective of each.
"""

GOES_ON = dict.fromkeys(
    [*((name, "warm-up") for name in SYSTEM_CASES), *(("vae", name) for name in OBJECTIVES)]
)
"""Every system with the objective that depends on the step, and one system with all objectives."""


VALUES = {"learning_rate": (0.001, 0.01, 0.05), "free_bits_nats": (0.0, 0.05, 0.4)}
"""Values of control parameters for which 0.3, 1 and 2.5 are not suited."""

VARIED = [
    (name, case)
    for name, control in CONTROLS.items()
    for case in SYSTEM_CASES
    if name != "rho" and (control.in_model or case == "vae")
]
"""Each control parameter with a case; with every system if it acts inside the model."""


@pytest.fixture(params=CASES)
def system(request) -> dict:
    return CASES[request.param]


@pytest.fixture(params=PAIRS, ids=" under ".join)
def case(request, make_cell) -> Cell:
    name, objective = request.param
    return make_cell(**(CASES | NETWORKS)[name], **OBJECTIVES[objective])


@pytest.fixture
def data(case, data_of) -> Dataset:
    return data_of(image_of(case))


def image_of(case: Cell) -> tuple[int, ...]:
    if case.likelihood == "logistic_mixture":
        return COLOUR_IMAGE
    return CONV_IMAGE if case.architecture == "conv" else IMAGE


def noise_of(case: Cell, seed: int = 5) -> Draws:
    generator = torch.Generator().manual_seed(seed)
    return single_draws(case, leading_axes(BATCH, case.importance_samples), generator, torch.float64)


def images_of(case: Cell, seed: int = 2) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(BATCH, math.prod(image_of(case)), generator=generator) < 0.5).double()


def terms_of(model, case, rho):
    strength = None if rho is None else torch.tensor(rho, dtype=torch.float64)
    return model(images_of(case), noise_of(case), strength, case.importance_samples == 1)


def test_every_system_has_a_case():
    assert {case["system"] for case in CASES.values()} == set(SYSTEMS)


def test_the_top_layer_is_drawn_as_in_the_bound(make_cell, system):
    """Its mean is in the terms, and its log ratio to a standard normal prior is the top term."""
    case = make_cell(**system, importance_samples=3, objective="iwae")
    plain = case.model_copy(update={"smoothed_networks": ()})
    model, draws = initial_model(case, image_of(case), 0), noise_of(plain)
    top = model.top_draw(images_of(case), draws)
    terms = model(images_of(case), draws, None, closed_form=False)
    assert top.z.shape == (3, BATCH, case.latents[-1])
    assert torch.equal(top.mean.expand_as(top.z), terms.means[-1])
    assert torch.equal(top.z, top.mean + top.log_scale.exp() * draws.base[-1])
    other_noise = draws._replace(base=(*draws.base[:-1], -draws.base[-1]))
    other = model.top_draw(images_of(case), other_noise)
    assert torch.equal(other.mean, top.mean)
    assert torch.equal(other.log_scale, top.log_scale)
    if case.system != "vampprior":  # whose prior is another
        zero = torch.zeros((), dtype=torch.float64)
        torch.testing.assert_close(top.kl(zero, zero, closed_form=False), terms.kl[-1])


def test_posterior_means_are_those_of_the_terms(make_cell, system):
    """The means of z_1 lack the samples' axis only if they do not depend on samples."""
    case = make_cell(**system, importance_samples=3, objective="iwae")
    plain = case.model_copy(update={"smoothed_networks": ()})
    model, draws = initial_model(case, image_of(case), 0), noise_of(plain)
    actual = model.posterior_means(images_of(case), draws)
    expected = model(images_of(case), draws, None).means
    for mean, of_terms in zip(actual, expected, strict=True):
        assert torch.equal(mean.expand_as(of_terms), of_terms)
    for mean, of_terms in zip(System.posterior_means(model, images_of(case), draws), expected, strict=True):
        assert torch.equal(mean, of_terms)


def test_packed_units_equal_those_of_the_model(make_cell, system, data_of):
    """Moments over the draws of the seed's stream, on two chunks of images."""
    case = make_cell(**system)
    data = replace(data_of(image_of(case)), binarization="none")
    pack = PackTraining(case, MEMBERS, data)
    images = torch.from_numpy(data.validation).double()[:12]
    plain = case.model_copy(update={"smoothed_networks": ()})
    with torch.no_grad(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluator, "UNIT_CHUNK", 7)
        actual = pack._evaluator.units(images)
        for row, (_, seed) in enumerate(MEMBERS):
            model, noise = initial_model(case, image_of(case), seed), stream(images.device, "units", seed)
            chunks = []
            for chunk in torch.split(images, 7):
                draws = single_draws(plain, (evaluator.UNIT_DRAWS, len(chunk)), noise, torch.float64)
                chunks.append(model(chunk, draws, None).means)
            for layer, means in zip(actual, zip(*chunks, strict=True), strict=True):
                of_images = torch.cat(means, 1)
                torch.testing.assert_close(layer.mean[row], of_images.mean(0), rtol=1e-9, atol=1e-9)
                torch.testing.assert_close(layer.variance[row], of_images.var(0), rtol=1e-9, atol=1e-9)


def test_a_reconstruction_gives_the_likelihood_of_the_bound(make_cell, system):
    case = make_cell(**system, importance_samples=3, objective="iwae").model_copy(
        update={"smoothed_networks": ()}
    )
    model, x, draws = initial_model(case, image_of(case), 0), images_of(case), noise_of(case)
    outputs = model.reconstruct(x, draws)
    actual = likelihood_of(case).log_density(x, outputs)
    torch.testing.assert_close(actual, model(x, draws, None, closed_form=False).log_likelihood)


POSTERIOR = {
    "vae": {"inference": 0.0},
    "hermite": {"inference": 0.0},
    "vampprior": {"lower_posterior.head": 0.0, "upper_posterior": 0.7, "lower_prior": 0.6},
    "lvae": {"heads": 0.0},
    "biva": {"bottom_up": 0.0, "top_down": 0.0, "top.": 0.0},
}
"""Factors of weights by a part of their names, mostly of the posterior's Gaussians."""


@pytest.mark.parametrize(
    "system", [name for name in CASES if "colour" not in name and "four" not in name], indirect=True
)
def test_generated_images_have_the_density_that_the_bound_bounds(make_cell, system):
    """log p(x) of ancestral draws and of importance weights: two means of one expectation.

    An image's density depends on the draw, since the weights are larger than initial ones, and the posterior
    is deaf to the image and wide, so that importance weights do not vary by much.
    """
    case = make_cell(**system).model_copy(update={"smoothed_networks": ()})
    model, x = initial_model(case, image_of(case), 0), images_of(case)[:2]
    factors = POSTERIOR[case.system]
    with torch.no_grad():
        for name, value in model.named_parameters():
            value.mul_(next((by for part, by in factors.items() if part in name), 1.5))
        outputs = model.generate(20_000, torch.Generator().manual_seed(1))
        ancestral = likelihood_of(case).log_density(x[:, None], outputs)
        noise = single_draws(case, (20_000, len(x)), torch.Generator().manual_seed(2), torch.float64)
        terms = model(x, noise, None, closed_form=False)
    weights = (terms.log_likelihood - terms.kl.sum(0)).T
    (actual, error), (expected, other) = log_mean(ancestral), log_mean(weights)
    apart = (error**2 + other**2) ** 0.5
    assert bool((ancestral.std(-1) > 0.1).all())
    assert bool((apart < 0.1).all())
    assert bool(((actual - expected).abs() < 4.5 * apart).all())


def log_mean(logarithms: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the logarithm of the mean of [B, n] exponentials, and its standard error, [B] each."""
    count = logarithms.shape[-1]
    logarithm = logarithms.logsumexp(-1) - math.log(count)
    relative = (logarithms - logarithm[:, None]).exp().std(-1) / count**0.5
    return logarithm, relative


def test_terms_have_their_shapes_and_are_finite(case):
    model, axes = initial_model(case, image_of(case), 0), leading_axes(BATCH, case.importance_samples)
    units = system_of(case).unit_counts(case)
    for rho in (None, 0.3, 1.0):
        terms = terms_of(model, case, rho)
        assert terms.log_likelihood.shape == axes
        assert terms.kl.shape == (len(case.latents), *axes)
        assert [mean.shape for mean in terms.means] == [(*axes, count) for count in units]
        for value in (terms.log_likelihood, terms.kl, *terms.means):
            assert value.isfinite().all(), rho
        assert loss(case, terms).shape == ()


def test_rho_one_is_the_system_without_smoothing(case):
    model = initial_model(case, image_of(case), 0)
    actual = []
    for rho in (None, 1.0):
        model.zero_grad()
        terms = terms_of(model, case, rho)
        loss(case, terms).backward()
        actual.append([*terms[:2], *terms.means, *(p.grad.clone() for p in model.parameters())])
    for without, at_one in zip(*actual, strict=True):
        assert are_alike(without, at_one)


def test_the_gradient_reaches_every_parameter(case):
    """Summed over several initial weights, because a ReLU may be inactive for some of them."""
    reached: dict[str, bool] = {}
    for seed in range(3):
        model = initial_model(case.model_copy(update={"free_bits_nats": 0.0}), image_of(case), seed)
        loss(case.model_copy(update={"free_bits_nats": 0.0}), terms_of(model, case, 0.6)).backward()
        for name, parameter in model.named_parameters():
            assert parameter.grad is not None, name
            reached[name] = reached.get(name, False) or bool(parameter.grad.abs().sum() > 0)
    assert [name for name, some in reached.items() if not some] == []


def test_the_closed_forms_are_the_means_of_the_estimates(make_cell, system):
    """Over many draws of the top layer; the layers below are estimates in both."""
    case = make_cell(**system)
    model = initial_model(case, image_of(case), 0)
    count = 10_000
    shapes = draw_shapes(case, (count, 1))
    generator = torch.Generator().manual_seed(1)
    bases = tuple(torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes.base)
    x = images_of(case)[:1]
    with torch.no_grad():
        terms = [model(x, Draws(bases, (), (), ()), None, closed) for closed in (True, False)]
    closed, estimates = (estimate.kl.sum(0).flatten() for estimate in terms)
    error = (closed - estimates).std() / count**0.5
    assert (closed - estimates).mean().abs() <= 4 * error + 1e-12


def test_packed_equals_alone(case, data):
    packed = PackTraining(case, MEMBERS, data)
    losses, gradients, kls = packed.losses_and_gradients()
    for row, member in enumerate(MEMBERS):
        loss_alone, gradients_alone, kl_alone = PackTraining(case, [member], data).losses_and_gradients()
        torch.testing.assert_close(losses[row], loss_alone[0], rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(kls[row], kl_alone[0], rtol=1e-9, atol=1e-9)
        for name, value in gradients.items():
            torch.testing.assert_close(value[row], gradients_alone[name][0], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("name", "system"), VARIED, indirect=["system"])
def test_members_with_values_of_their_own_are_as_in_cells_of_these_values(make_cell, data_of, name, system):
    """In their training, evaluation and test, also when the first member has diverged."""
    of = keys_of(Cell)[name].of
    choice = {of: CHOICES[of].users(name)[0]} if of else {}
    measured = {"bound_samples": 3, "bound_images": 5, "steps": 4, "eval_every": 2}
    values = VALUES.get(name, (0.3, 1.0, 2.5))
    case = make_cell(**system, **choice, **measured, kl_warmup=3, **{name: values[0]})
    data = data_of(image_of(case))
    pack = PackTraining(case, MEMBERS, data, values={name: values})
    poison(train(pack, until=1), 0)
    first, *others = train(pack).outcomes()
    assert first.diverged_at_step == 2
    for member, value, outcome in zip(MEMBERS[1:], values[1:], others, strict=True):
        alone = train(PackTraining(case.model_copy(update={name: value}), [member], data))
        assert_close(outcome, *alone.outcomes())
    assert others[0].history[-1]["objective_nats"] != others[1].history[-1]["objective_nats"]


def test_values_must_be_of_control_parameters_that_the_model_holds(make_cell, data_of):
    case, data = make_cell(), data_of(IMAGE)
    with pytest.raises(
        ValueError, match="steps is no control parameter; members may differ in free_bits_nats,"
    ):
        PackTraining(case, MEMBERS, data, values={"steps": (1, 2, 3)})
    with pytest.raises(ValueError, match="kl_weight: 2 values for 3 members"):
        PackTraining(case, MEMBERS, data, values={"kl_weight": (1.0, 2.0)})
    with pytest.raises(ValueError, match="observation_variance: no module of system vae has this attribute"):
        PackTraining(case, MEMBERS, data, values={"observation_variance": (1.0, 2.0, 3.0)})


def test_training_is_that_of_the_plain_model(case, data):
    """The first loss, and the weights after steps of a plain loop with PyTorch's optimizer.

    Both have the pack's minibatches and noise.
    """
    case = case.model_copy(update={"learning_rate": 0.01, "steps": 4, "eval_every": 4})
    pack = train(PackTraining(case, MEMBERS[:1], data), until=3)
    first, *_ = PackTraining(case, MEMBERS[:1], data).losses_and_gradients()
    rho, seed = MEMBERS[0]
    model = initial_model(case, image_of(case), seed)
    optimizer = torch.optim.Adam(
        model.parameters(), lr=0.01, weight_decay=case.weight_decay, decoupled_weight_decay=True
    )
    alone = PackTraining(case, MEMBERS[:1], data)
    for step in range(3):
        x = alone._feed._minibatches[0].next(1)[0]
        axes = leading_axes(len(x), case.importance_samples)
        draws = single_draws(case, axes, alone._feed._generators[0], torch.float64)
        terms = model(x, draws, torch.tensor(rho, dtype=torch.float64), case.importance_samples == 1)
        value = loss(case, terms, min(1.0, step / case.kl_warmup) if case.kl_warmup else 1.0)
        if step == 0:
            torch.testing.assert_close(value.detach(), first[0], rtol=1e-9, atol=1e-9)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
    for name, value in model.named_parameters():
        torch.testing.assert_close(pack._parameters[name][0], value, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("case", GOES_ON, indirect=True, ids=" under ".join)
def test_a_checkpoint_continues_exactly(case, data):
    test = {"select": "best", "bound_samples": 4, "bound_images": 6}
    case = case.model_copy(update={"steps": 4, "eval_every": 2} | test)
    straight = train(PackTraining(case, MEMBERS, data))
    stopped = train(PackTraining(case, MEMBERS, data), until=3)
    resumed = PackTraining(case, MEMBERS, data)
    resumed.load_state_dict(through_a_file(stopped.state_dict()))
    train(resumed)
    assert resumed.outcomes() == straight.outcomes()
    for outcome in straight.outcomes():
        assert [metrics["step"] for metrics in outcome.history] == [0, 2, 4]
        assert outcome.test is not None
        assert outcome.test["selected_step"] in (0, 2, 4)


@pytest.mark.parametrize("system", ["lvae", "biva"])
@pytest.mark.parametrize("closed_form", [True, False])
def test_one_layer_is_the_vae(system, make_cell, draw, closed_form):
    """The same seed gives both the same initial weights."""
    case = make_cell(latents=(4,), smoothed_networks=())
    cases = [case.model_copy(update={"system": name}) for name in (system, "vae")]
    model, vae = (initial_model(cell, (12,), seed=0) for cell in cases)
    for ours, other in zip(model.parameters(), vae.parameters(), strict=True):
        assert torch.equal(ours, other)
    noise, x = draw(case, 7), images(7)
    actual, expected = (system(x, noise, None, closed_form) for system in (model, vae))
    torch.testing.assert_close(actual, expected, rtol=1e-11, atol=1e-11)
