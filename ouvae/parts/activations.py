"""Activations of hidden layers, in place, with derivatives from their results.

The derivative of an increasing activation is a function of its value, so a layer keeps one tensor for the
backward pass. GELU has a minimum, and no such derivative.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from ouvae.declared.traits import ActivationName
from ouvae.torch_internals import (
    elu_backward,
    leaky_relu_backward,
    softplus,
    tanh_backward,
    threshold_backward,
)

LEAK = 0.01
"""Slope of a leaky ReLU below zero."""


@dataclass(frozen=True)
class Activation:
    """An elementwise function f.

    Attributes:
        layer: f as a module of PyTorch.
        write: replaces factor * x by f(x) and returns it; None if f' is not a function of f(x).
        backward: returns gradient * f'(x), given the gradient and f(x).
        factor: plus or minus a power of two, by which the preceding product multiplies at no cost.
    """

    layer: type[nn.Module]
    write: Callable[[Tensor], Tensor] | None = None
    backward: Callable[[Tensor, Tensor], Tensor] | None = None
    factor: float = 1


def _tanh(scaled: Tensor) -> Tensor:
    """Replace -2 x by tanh(x) = 1 - 2 sigmoid(-2 x).

    On a CPU, PyTorch's sigmoid takes a sixth of the time of its tanh. The error is the rounding of a number
    near 1, too large in bfloat16.
    """
    if scaled.dtype == torch.bfloat16:
        return scaled.mul_(-0.5).tanh_()
    scaled.sigmoid_()
    return torch.sub(scaled.new_ones(()), scaled, alpha=2, out=scaled)


def _softplus_backward(gradient: Tensor, result: Tensor) -> Tensor:
    """Return gradient * sigmoid(x), where sigmoid(x) = 1 - exp(-softplus(x))."""
    return result.neg().expm1_().neg_().mul_(gradient)


ACTIVATIONS: dict[ActivationName, Activation] = {
    "relu": Activation(nn.ReLU, torch.relu_, lambda g, y: threshold_backward(g, y, 0)),
    "tanh": Activation(nn.Tanh, _tanh, tanh_backward, factor=-2),
    "elu": Activation(nn.ELU, functional.elu_, lambda g, y: elu_backward(g, 1, 1, 1, True, y)),
    "softplus": Activation(nn.Softplus, lambda x: softplus(x, out=x), _softplus_backward),
    "gelu": Activation(nn.GELU),
    "leaky_relu": Activation(
        nn.LeakyReLU, functional.leaky_relu_, lambda g, y: leaky_relu_backward(g, y, LEAK, True)
    ),
}
"""The activations by the values of the key `activation`."""
