"""Traits of systems, data sets and other choices. Rules use traits, never names."""

from dataclasses import dataclass
from typing import Literal

Network = Literal["generative", "likelihood", "inference"]
SmoothingForm = Literal["posterior", "ambient", "shrink"]
"""Forms of smoothing; see `ouvae.parts.smoothing`."""

ActivationName = Literal["relu", "tanh", "elu", "softplus", "gelu", "leaky_relu"]
"""Activations of hidden layers; see `ouvae.parts.activations`."""

InitialisationName = Literal["torch", "xavier", "he", "orthogonal"]
"""Initial weights of affine layers; see `ouvae.parts.affine`."""

Normalisation = Literal["none", "layer"]
"""Normalisations of a hidden layer's outputs before its activation; see `ouvae.parts.networks`."""

Binarization = Literal["dynamic", "static", "none"]
"""`dynamic`: pixels are Bernoulli probabilities, drawn again at each use. `static`: pixels are 0 or 1.
`none`: pixels are real numbers."""


@dataclass(frozen=True, kw_only=True)
class Traits:
    """The traits of every choice.

    Attributes:
        path: `module:name` of its class or function; for a user's class, the name in the space.
        needs: keys of a cell that it requires, such as a variance.
        takes: keys of a cell that it uses if they are given.
    """

    path: str = ""
    needs: tuple[str, ...] = ()
    takes: tuple[str, ...] = ()

    @property
    def uses(self) -> frozenset[str]:
        """The keys that it uses."""
        return frozenset({*self.needs, *self.takes})


@dataclass(frozen=True, kw_only=True)
class SystemTraits(Traits):
    """The traits of a system.

    Attributes:
        smooths: the networks that it can smooth; empty for a system without smoothing.
        smoothing: the forms of smoothing that it supports, by default those of `ouvae.parts.smoothing`.
        architectures: the architectures that it supports.
        normalisations: the normalisations that it supports.
        depth: its number of latent layers; None for any number.
    """

    smooths: tuple[Network, ...] = ()
    smoothing: tuple[SmoothingForm, ...] = ("posterior", "ambient")
    architectures: tuple[str, ...] = ("mlp", "conv")
    normalisations: tuple[Normalisation, ...] = ("none", "layer")
    depth: int | None = None


@dataclass(frozen=True, kw_only=True)
class DatasetTraits(Traits):
    """The traits of a data set.

    Attributes:
        image_shape: (rows, columns) or (channels, rows, columns); (D,) for observations that are not images;
            None if the key `data_variance` has an entry for each dimension.
        binarization: how a pixel becomes 0 or 1; see `Binarization`.
        likelihoods: the likelihoods that fit its pixels.
    """

    image_shape: tuple[int, ...] | None
    binarization: Binarization
    likelihoods: tuple[str, ...] = ("bernoulli", "gaussian", "logistic_mixture")


@dataclass(frozen=True, kw_only=True)
class LikelihoodTraits(Traits):
    """The traits of a likelihood.

    Attributes:
        of_bytes: whether it gives probabilities of bytes, which are also reported in bits per dimension.
    """

    of_bytes: bool = False


@dataclass(frozen=True, kw_only=True)
class ArchitectureTraits(Traits):
    """The traits of an architecture.

    Attributes:
        layered: whether it has hidden layers.
        images: whether it needs images.
    """

    layered: bool = True
    images: bool = False
