"""Activations of hidden layers: written over their argument, with derivatives of their result.

An activation that increases is its own record: its derivative is a function of its value, so that a layer
keeps one tensor for the way back. GELU has a minimum and no such derivative.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from ouvae.declared.traits import ActivationName

_ATEN = torch.ops.aten

LEAK = 0.01
"""Slope of a leaky ReLU below zero."""


@dataclass(frozen=True)
class Activation:
    """An elementwise function f.

    Attributes:
        layer: f as PyTorch's module, which autograd knows.
        write: replaces factor * x by f(x) and returns it; None where f' is no function of f(x).
        backward: returns gradient * f'(x), given the gradient and f(x).
        factor: a power of two with a sign, which the product before takes along at no cost.
    """

    layer: type[nn.Module]
    write: Callable[[Tensor], Tensor] | None = None
    backward: Callable[[Tensor, Tensor], Tensor] | None = None
    factor: float = 1


def _tanh(scaled: Tensor) -> Tensor:
    """Replace -2 x by tanh(x) = 1 - 2 sigmoid(-2 x).

    On a CPU PyTorch's sigmoid takes a sixth of the time of its tanh. The results differ by rounding at 1,
    which bfloat16 cannot afford.
    """
    if scaled.dtype == torch.bfloat16:
        return scaled.mul_(-0.5).tanh_()
    scaled.sigmoid_()
    return torch.sub(scaled.new_ones(()), scaled, alpha=2, out=scaled)


def _softplus_backward(gradient: Tensor, result: Tensor) -> Tensor:
    """Return gradient * sigmoid(x), where sigmoid(x) = 1 - exp(-softplus(x))."""
    return result.neg().expm1_().neg_().mul_(gradient)


ACTIVATIONS: dict[ActivationName, Activation] = {
    "relu": Activation(nn.ReLU, torch.relu_, lambda g, y: _ATEN.threshold_backward(g, y, 0)),
    "tanh": Activation(nn.Tanh, _tanh, _ATEN.tanh_backward.default, factor=-2),
    "elu": Activation(nn.ELU, functional.elu_, lambda g, y: _ATEN.elu_backward(g, 1, 1, 1, True, y)),
    "softplus": Activation(nn.Softplus, lambda x: _ATEN.softplus.out(x, out=x), _softplus_backward),
    "gelu": Activation(nn.GELU),
    "leaky_relu": Activation(
        nn.LeakyReLU,
        functional.leaky_relu_,
        lambda g, y: _ATEN.leaky_relu_backward(g, y, LEAK, True),
    ),
}
"""By the values of the key `activation`."""
