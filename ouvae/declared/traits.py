"""What a system, a data set or another choice can: rules ask these, and never a name."""

from dataclasses import dataclass
from typing import Literal

Network = Literal["generative", "likelihood", "inference"]
SmoothingForm = Literal["posterior", "ambient", "shrink"]
"""What is put in a smoothed network's place, see `ouvae.parts.smoothing`."""

ActivationName = Literal["relu", "tanh", "elu", "softplus", "gelu", "leaky_relu"]
"""Functions between the layers of a network, see `ouvae.parts.activations`."""

InitialisationName = Literal["torch", "xavier", "he", "orthogonal"]
"""Initial weights of affine layers, see `ouvae.parts.affine`."""

Normalisation = Literal["none", "layer"]
"""What is done to the outputs of a hidden layer before its activation, see `ouvae.parts.networks`."""

Binarization = Literal["dynamic", "static", "none"]
"""`dynamic`: pixels are Bernoulli probabilities, drawn afresh at each use; `static`: pixels are 0 or 1
already; `none`: real-valued."""


@dataclass(frozen=True, kw_only=True)
class Traits:
    """What every choice says of itself.

    Attributes:
        path: `module:name` of what it is in code; of a user's own it is what the space says.
        needs: keys of a cell that it has no value for by itself, such as a variance.
        takes: keys that it makes use of where they are given.
    """

    path: str = ""
    needs: tuple[str, ...] = ()
    takes: tuple[str, ...] = ()

    @property
    def uses(self) -> frozenset[str]:
        """The keys that make sense with it."""
        return frozenset({*self.needs, *self.takes})


@dataclass(frozen=True, kw_only=True)
class SystemTraits(Traits):
    """What a system can.

    Attributes:
        smooths: the networks that it can smooth; none is a system without smoothing.
        smoothing: the forms that it knows: unless it says otherwise, those of
            `ouvae.parts.smoothing.smooth`.
        architectures: those that it is built of.
        normalisations: those that its hidden layers can have.
        depth: its number of latent layers; None is any.
    """

    smooths: tuple[Network, ...] = ()
    smoothing: tuple[SmoothingForm, ...] = ("posterior", "ambient")
    architectures: tuple[str, ...] = ("mlp", "conv")
    normalisations: tuple[Normalisation, ...] = ("none", "layer")
    depth: int | None = None


@dataclass(frozen=True, kw_only=True)
class DatasetTraits(Traits):
    """What a data set is.

    Attributes:
        image_shape: (rows, columns) or (channels, rows, columns); (D,) if it is no image; None where it is
            as long as the key `data_variance`.
        binarization: how a pixel becomes 0 or 1, see `Binarization`.
        likelihoods: those that fit its pixels.
    """

    image_shape: tuple[int, ...] | None
    binarization: Binarization
    likelihoods: tuple[str, ...] = ("bernoulli", "gaussian", "logistic_mixture")


@dataclass(frozen=True, kw_only=True)
class LikelihoodTraits(Traits):
    """What a likelihood is.

    Attributes:
        of_bytes: whether it gives the probability of bytes, which is told in bits per dimension too.
    """

    of_bytes: bool = False


@dataclass(frozen=True, kw_only=True)
class ArchitectureTraits(Traits):
    """What an architecture is.

    Attributes:
        layered: whether it has hidden layers.
        images: whether it is for images alone.
    """

    layered: bool = True
    images: bool = False
