"""A cell: one curve of the top layer's KL, given by the keys that determine its members' numbers.

A new key is one declaration here, and code that uses it. The checks of a space, the identity of members, the
columns of the tables, MLflow's params, labels and the table of keys in docs/spaces.md follow from the
declaration. Rules between keys use the traits of the chosen system, data set, likelihood, objective and
architecture.
"""

from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from ouvae.declared.choices import ARCHITECTURES, DATASETS, LIKELIHOODS, OBJECTIVES, SYSTEMS
from ouvae.declared.keys import (
    Control,
    Distinct,
    NotNegative,
    Positive,
    PositiveNumber,
    Rho,
    Several,
    Strict,
    Whole,
    key,
    keys_of,
)
from ouvae.declared.registry import Registry
from ouvae.declared.traits import (
    ActivationName,
    InitialisationName,
    Network,
    Normalisation,
    SmoothingForm,
    Traits,
)

CHOICES: dict[str, Registry[Any]] = {
    registry.kind: registry for registry in (DATASETS, SYSTEMS, OBJECTIVES, ARCHITECTURES, LIKELIHOODS)
}
"""The registries, by the keys that choose from them."""


class CellKeys(Strict):
    """The keys of a cell except its latents, which a space lists."""

    dataset: Annotated[str, AfterValidator(DATASETS.checked)] = key("data set of the training", unit="none")
    data_variance: tuple[PositiveNumber, ...] | None = key(
        "eigenvalues of the covariance of synthetic Gaussian data, in squared data units",
        neutral=None,
        of="dataset",
    )
    system: Annotated[str, AfterValidator(SYSTEMS.checked)] = key(
        "the model, such as `vae` (with smoothing, the OU-VAE) or `lvae`",
        default="vae",
        unit="none",
        method=True,
    )
    objective: Annotated[str, AfterValidator(OBJECTIVES.checked)] = key(
        "the bound that training maximises", default="elbo", unit="none", method=True
    )
    importance_samples: Positive = key(
        "number k of importance samples in training", neutral=1, of="objective", method=True
    )
    free_bits_nats: NotNegative = key(
        "nats of each layer's KL that cost nothing",
        neutral=0.0,
        unit="nats",
        of="objective",
        method=True,
        control=Control("λ", "free bits", scale="linear", collapsed="low"),
    )
    architecture: Annotated[str, AfterValidator(ARCHITECTURES.checked)] = key(
        "family of the networks", default="mlp", unit="none"
    )
    hidden: tuple[Positive, ...] = key(
        "widths of the hidden layers of one network; channels of a convolutional one", default=(64, 64)
    )
    activation: ActivationName = key(
        "function after each hidden layer", neutral="relu", unit="none", of="architecture", word="{}"
    )
    initialisation: InitialisationName = key(
        "initial weights of all affine layers; `torch` is PyTorch's own (in a convolutional network He's, "
        "before an activation), the others have biases of zero",
        neutral="torch",
        unit="none",
        of="architecture",
        word="{} weights",
    )
    normalisation: Normalisation = key(
        "normalisation of a hidden layer's outputs before the activation: `layer` is layer normalisation",
        neutral="none",
        unit="none",
        of="architecture",
        word="{} normalisation",
    )
    pseudo_inputs: Whole | None = key(
        "number of pseudo-inputs of a VampPrior; 0 is its network with a standard normal prior",
        neutral=None,
        of="system",
        method=True,
    )
    hermite_degree: Positive | None = key(
        "highest Hermite degree of the series", neutral=None, of="system", method=True
    )
    likelihood: Annotated[str, AfterValidator(LIKELIHOODS.checked)] = key(
        "distribution of the observation given z_1", default="bernoulli", unit="none"
    )
    observation_variance: PositiveNumber | None = key(
        "fixed variance of a Gaussian likelihood, in squared data units",
        neutral=None,
        of="likelihood",
        control=Control("σ²", "observation variance", in_model=True),
    )
    mixture_components: Positive | None = key(
        "logistics in each pixel of a mixture likelihood", neutral=None, of="likelihood"
    )
    smoothing: SmoothingForm = key(
        "measure of the Ornstein-Uhlenbeck semigroup: `posterior` (the layer's posterior) or `ambient` (the "
        "standard normal); `shrink` does not smooth, but scales the noise by √g, g = ρ² + (1−ρ²)/K, as "
        "`posterior` does for a linear network",
        default="posterior",
        unit="none",
        word="{} smoothing",
    )
    smoothed_networks: Annotated[
        tuple[Network, ...], Distinct, AfterValidator(lambda networks: tuple(sorted(networks)))
    ] = key(
        "the smoothed networks: `generative` is p(z_l|z_l+1), `likelihood` is p(x|z_1), `inference` is "
        "q(z_l+1|z_l)",
        default=("generative",),
        unit="none",
        method=True,
    )
    rho: Rho = key(
        "smoothing parameter ρ of U_ρ; 1 is no smoothing",
        neutral=1.0,
        method=True,
        control=Control("ρ", "smoothing parameter", scale="linear"),
    )
    ou_samples: Positive = key(
        "number K of Ornstein-Uhlenbeck draws in the average; for `shrink`, the K in g",
        default=5,
        word="K = {}",
    )
    start: Literal["cold"] = key(
        "start of training: `cold` is from fresh weights", neutral="cold", unit="none"
    )
    steps: Positive = key(
        "training budget: number of optimizer steps", default=3000, unit="steps", word="{} steps"
    )
    batch_size: Positive = key("observations in a minibatch", default=100)
    learning_rate: PositiveNumber = key(
        "step size of the optimizer (Adam)", default=3e-3, control=Control("η", "learning rate")
    )
    weight_decay: NotNegative = key(
        "Adam's decoupled weight decay: a step removes this share of each weight, times the step size",
        neutral=0.0,
        control=Control("w", "weight decay"),
    )
    kl_warmup: Whole = key(
        "steps over which a factor of the KLs' weights rises from 0 to 1, linearly",
        neutral=0,
        unit="steps",
        method=True,
    )
    kl_weight: NotNegative = key(
        "weight of every layer's KL in training, the beta of a beta-VAE; of the metrics, only "
        "`objective_nats` includes it",
        neutral=1.0,
        method=True,
        control=Control("β", "weight of the KL"),
    )
    top_kl_weight: NotNegative = key(
        "weight of the top layer's KL in training, times `kl_weight`; of the metrics, only `objective_nats` "
        "includes it",
        neutral=1.0,
        method=True,
        control=Control("β_top", "weight of the top layer's KL"),
    )
    eval_every: Positive = key(
        "steps between two evaluations on the validation split", default=500, unit="steps"
    )
    eval_images: Several | None = key(
        "number of validation images in an evaluation, the first ones; null is all", neutral=None
    )
    gradient_samples: Several | None = key(
        "noise samples for the gradient's variance at each evaluation",
        neutral=None,
        of="system",
        requires="gradient_rho",
    )
    gradient_rho: Rho | None = key(
        "the ρ at which the gradient's variance is measured, in addition to no smoothing",
        neutral=None,
        of="system",
        requires="gradient_samples",
    )
    select: Literal["last", "best"] = key(
        "weights measured on the test split: the `last`, or those of the `best` validation ELBO",
        neutral="last",
        unit="none",
        requires="bound_samples",
    )
    bound_samples: Positive | None = key(
        "k of the bound L_k on the test split; null does not evaluate the test split", neutral=None
    )
    bound_images: Several | None = key(
        "number of test images, the first ones; null is all", neutral=None, requires="bound_samples"
    )
    precision: Literal["bfloat16", "float32", "float64"] = key(
        "floating-point format of weights, data and noise; with `bfloat16` they are float32, and training "
        "multiplies in bfloat16",
        default="float32",
        unit="none",
    )

    def problems(self) -> list[str]:
        """Return the contradictions between keys, each with what to do."""
        return [
            *self._choice_problems(),
            *self._missing_partners(),
            *self._misfits(),
            *self._smoothing_problems(),
        ]

    def traits(self, kind: str) -> Any:
        """Return the traits of the choice of the key `kind`."""
        return CHOICES[kind][getattr(self, kind)]

    def _choice_problems(self) -> Iterator[str]:
        """Report keys that do not fit the choice that they belong to."""
        for name, declared in keys_of(CellKeys).items():
            if declared.of is None:
                continue
            value, choice = getattr(self, name), getattr(self, declared.of)
            traits: Traits = self.traits(declared.of)
            if name in traits.needs and declared.is_neutral(value):
                yield (
                    f"{name}: missing with {declared.of} {choice}, which needs it; give the "
                    f"{declared.description}"
                )
            if name not in traits.uses and not declared.is_neutral(value):
                users = " or ".join(CHOICES[declared.of].users(name))
                yield (
                    f"{name}: {_shown(value)} with {declared.of} {choice}, which does not use it; leave it "
                    f"out, or use {declared.of} {users}"
                )

    def _missing_partners(self) -> Iterator[str]:
        """Report keys without the other key that they require."""
        declared = keys_of(CellKeys)
        for name, spec in declared.items():
            value = getattr(self, name)
            if spec.requires is None or spec.is_neutral(value):
                continue
            partner = declared[spec.requires]
            if partner.is_neutral(getattr(self, partner.name)):
                yield (
                    f"{partner.name}: missing, with {name}: {_shown(value)}, which needs it; give the "
                    f"{partner.description}"
                )

    def _misfits(self) -> Iterator[str]:
        """Report choices that exclude each other."""
        dataset, system, architecture = (self.traits(kind) for kind in ("dataset", "system", "architecture"))
        if self.likelihood not in dataset.likelihoods:
            yield (
                f"likelihood: {self.likelihood} with dataset {self.dataset}, whose pixels it does not fit; "
                f"use likelihood {' or '.join(dataset.likelihoods)}"
            )
        for name, allowed in (
            ("architecture", system.architectures),
            ("normalisation", system.normalisations),
        ):
            if (value := getattr(self, name)) not in allowed:
                yield (
                    f"{name}: {value} with system {self.system}, which does not support it; use {name} "
                    f"{' or '.join(allowed)}"
                )
        if architecture.images and len(self.image_shape) < 2:
            yield (
                f"architecture: {self.architecture} with dataset {self.dataset}, which has no images; use "
                "architecture mlp or affine"
            )
        if self.precision == "bfloat16" and architecture.images:
            yield (
                f"precision: bfloat16 with architecture {self.architecture}, whose convolutions do not "
                "support it; use precision float32"
            )
        if self.hidden and not architecture.layered:
            yield (
                f"hidden: {_shown(self.hidden)} with architecture {self.architecture}, which has no hidden "
                "layers; use hidden: []"
            )
        if architecture.layered and not self.hidden:
            yield (
                f"hidden: [] with architecture {self.architecture}, which needs a hidden layer; give its "
                "width, or use architecture affine"
            )

    def _smoothing_problems(self) -> Iterator[str]:
        """Report smoothing that the system does not support."""
        system = self.traits("system")
        if not set(self.smoothed_networks) <= set(system.smooths):
            limit = f"smooths only {', '.join(system.smooths)}" if system.smooths else "has no smoothing"
            yield (
                f"smoothed_networks: {_shown(self.smoothed_networks)} with system {self.system}, which "
                f"{limit}; use smoothed_networks: {_shown(system.smooths)}"
            )
        if system.smooths and self.smoothing not in system.smoothing:
            yield (
                f"smoothing: {self.smoothing} with system {self.system}, which does not support it; use "
                f"smoothing: {' or '.join(system.smoothing)}"
            )

    @property
    def image_shape(self) -> tuple[int, ...]:
        """The shape of an observation, (rows, columns), (channels, rows, columns) or (D,)."""
        shape: tuple[int, ...] | None = self.traits("dataset").image_shape
        return (len(self.data_variance or ()),) if shape is None else shape

    def depth_problems(self, latents: Iterable[tuple[int, ...]], smooths: bool) -> Iterator[str]:
        """Report latent sizes that do not fit the system, or the smoothed networks if `smooths`."""
        depth, sizes = self.traits("system").depth, [list(layers) for layers in latents]
        if wrong := [layers for layers in sizes if depth is not None and len(layers) != depth]:
            yield (
                f"latents: {wrong} with system {self.system}, which has {depth} latent layers; give as many "
                "sizes in each entry"
            )
        shallow = [layers for layers in sizes if len(layers) == 1]
        if smooths and shallow and self.smoothed_networks and "likelihood" not in self.smoothed_networks:
            yield (
                f"smoothed_networks: {_shown(self.smoothed_networks)} with latents {shallow}, which have no "
                "network between latent layers; add a layer, or smooth likelihood"
            )


class Cell(CellKeys):
    """A data set, a model and a training budget: one curve, if one key and the seed vary."""

    latents: Annotated[tuple[Positive, ...], Field(min_length=1)] = key(
        "size of each latent layer, z_1 first"
    )

    @property
    def depth(self) -> int:
        """L, the number of stochastic layers."""
        return len(self.latents)

    def identity(self) -> dict[str, Any]:
        """Return the keys that are not neutral, in plain values. They identify the cell."""
        values = self.model_dump(mode="json")
        return {
            name: values[name]
            for name, declared in keys_of(Cell).items()
            if not declared.is_neutral(getattr(self, name))
        }


def _shown(value: object) -> str:
    return f"[{', '.join(map(str, value))}]" if isinstance(value, tuple) else str(value)
