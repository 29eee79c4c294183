"""Affine layers with their activation as one operation, for a model or a pack of models.

Under `torch.func.vmap`, PyTorch's layers become a product, an addition and an activation with an output each,
and as many operations in the backward pass. Here they are one batched product that starts from the bias, with
the activation in place, and its gradient.

Gradients of narrow layers are narrow matrices, and are computed as their transposes: matrix libraries work in
blocks, and take several times as long for a result with few columns.

Under autocasting, layers multiply in its type. Hidden layers return that type; a layer without an activation
is a head and returns float32.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ouvae.declared.traits import ActivationName, InitialisationName
from ouvae.parts.activations import ACTIVATIONS, Activation
from ouvae.torch_internals import autocast_dtype

NARROW = 24
"""Columns below which the transpose of a product is faster to compute."""

_INITIAL_WEIGHTS: dict[InitialisationName, Callable[[Tensor], Tensor]] = {
    "xavier": nn.init.xavier_uniform_,
    "he": nn.init.kaiming_normal_,
    "orthogonal": nn.init.orthogonal_,
}
"""PyTorch's versions of Glorot and Bengio (AISTATS 2010), He et al. (ICCV 2015), Saxe et al. (ICLR 2014)."""


class _Affine(torch.autograd.Function):
    """f(x Wᵀ + b) for x [..., in], W [out, in] and b [out], or all with a leading axis P; f may be None."""

    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor, activation: Activation | None) -> Tensor:
        factor = activation.factor if activation else 1
        if weight.dim() == 2:
            result = nn.functional.linear(x, weight, bias)
            result = result if factor == 1 else result.mul_(factor)
        else:
            factors = bias.unsqueeze(1), _rows(x, weight), weight.mT
            result = torch.baddbmm(*factors, beta=factor, alpha=factor).view(*x.shape[:-1], weight.shape[1])
        return activation.write(result) if activation and activation.write else result

    @staticmethod
    def setup_context(
        ctx: Any, inputs: tuple[Tensor, Tensor, Tensor, Activation | None], output: Tensor
    ) -> None:
        x, weight, _, ctx.activation = inputs
        ctx.save_for_backward(x, weight, output if ctx.activation else None)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor, Tensor, None]:
        x, weight, output = ctx.saved_tensors
        if ctx.activation:
            gradient = ctx.activation.backward(gradient, output)
        rows = _rows(gradient, weight)
        of_x = _product(rows, weight).view(x.shape) if ctx.needs_input_grad[0] else None
        return of_x, _product(rows.mT, _rows(x, weight)), rows.sum(-2), None

    @staticmethod
    def vmap(
        info: Any,
        in_dims: tuple[int | None, ...],
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        activation: Activation | None,
    ) -> tuple[Tensor, int]:
        if in_dims[1] is None and in_dims[2] is None:  # many inputs of one model: more rows
            rows = _with_axis(x, in_dims[0], info.batch_size)
            return _Affine.apply(rows, weight, bias, activation), 0  # type: ignore[no-untyped-call]
        if weight.dim() - (in_dims[1] is not None) != 2:
            raise NotImplementedError("packs of packs: vmap over the weights of an affine layer twice")
        packed = [
            _with_axis(values, axis, info.batch_size)
            for values, axis in zip((x, weight, bias), in_dims[:3], strict=True)
        ]
        return _Affine.apply(*packed, activation), 0  # type: ignore[no-untyped-call]


def _with_axis(values: Tensor, axis: int | None, size: int) -> Tensor:
    """Return values with the pack's axis in front."""
    if axis is None:
        return values.expand(size, *values.shape)
    return values if axis == 0 else values.movedim(axis, 0)


def _product(left: Tensor, right: Tensor) -> Tensor:
    """Return the matrix product of [(P,) a, b] and [(P,) b, c]."""
    product = torch.bmm if left.dim() == 3 else torch.mm
    if right.shape[-1] < NARROW:
        return product(right.mT, left.mT).mT.contiguous()
    return product(left, right)


def _rows(values: Tensor, weight: Tensor) -> Tensor:
    """Return [(P,) ..., n] as [(P,) rows, n]; the axis P is there if the weights have it."""
    return values.reshape(*weight.shape[:-2], -1, values.shape[-1])


class Affine(nn.Linear):
    """An affine layer and its activation, [..., inputs] -> [..., outputs].

    Attributes:
        activation: its name; None for a head.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        activation: ActivationName | None = None,
        initialisation: InitialisationName = "torch",
    ) -> None:
        """Build the layer with PyTorch's initial weights, or with others and biases of zero."""
        super().__init__(inputs, outputs)
        self.activation = activation
        if initialisation != "torch":
            _INITIAL_WEIGHTS[initialisation](self.weight)
            nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Return the layer's output."""
        activation = ACTIVATIONS[self.activation] if self.activation else None
        if activation and not activation.write:
            return activation.layer()(self._affine(x, None))  # type: ignore[no-any-return]
        return self._affine(x, activation)

    def _affine(self, x: Tensor, activation: Activation | None) -> Tensor:
        dtype = autocast_dtype(x.device.type)
        if dtype is None:
            return _Affine.apply(x, self.weight, self.bias, activation)  # type: ignore[no-untyped-call,no-any-return]
        converted = [value.to(dtype) for value in (x, self.weight, self.bias)]
        result: Tensor = _Affine.apply(*converted, activation)  # type: ignore[no-untyped-call]
        return result if self.activation else result.float()
