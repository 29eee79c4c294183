"""Affine layers as one operation each, of one model or of a pack of them, with a ReLU after it or without.

Under `torch.func.vmap`, PyTorch's own layer becomes a product, an addition and a ReLU, each with an output of
its own, and as many again on the way back. Here it is one batched product that begins at the bias, with the
ReLU in place, and its gradient one of each.

The gradients are narrow matrices where a latent layer is narrow, and are then asked for as their transposes:
a matrix library works in blocks, and the few columns of a narrow result take it several times as long.

Where autocasting is on, products are made in its format. What hidden layers give each other stays in it; a
layer without a ReLU is a head, whose result is float32.
"""

from typing import Any

import torch
from torch import Tensor, nn

NARROW = 24
"""Columns of a product below which it is quicker to ask for the transpose."""


class _Affine(torch.autograd.Function):
    """x Wᵀ + b and the ReLU of it, for x [..., in], W [out, in] and b [out], or all with an axis P before."""

    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor, relu: bool) -> Tensor:
        if weight.dim() == 2:
            result = nn.functional.linear(x, weight, bias)
        else:
            rows = torch.baddbmm(bias.unsqueeze(1), _rows(x, weight), weight.mT)
            result = rows.view(*x.shape[:-1], weight.shape[1])
        return result.relu_() if relu else result

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor, bool], output: Tensor) -> None:
        x, weight, _, ctx.relu = inputs
        ctx.save_for_backward(x, weight, output if ctx.relu else None)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor, Tensor, None]:
        x, weight, output = ctx.saved_tensors
        if ctx.relu:
            gradient = torch.ops.aten.threshold_backward(gradient, output, 0)
        rows = _rows(gradient, weight)
        of_x = _product(rows, weight).view(x.shape) if ctx.needs_input_grad[0] else None
        return of_x, _product(rows.mT, _rows(x, weight)), rows.sum(-2), None

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[int | None, ...], x: Tensor, weight: Tensor, bias: Tensor, relu: bool
    ) -> tuple[Tensor, int]:
        if in_dims[1] is None and in_dims[2] is None:  # many inputs of one model are rows of it
            rows = _with_axis(x, in_dims[0], info.batch_size)
            return _Affine.apply(rows, weight, bias, relu), 0  # type: ignore[no-untyped-call]
        if weight.dim() - (in_dims[1] is not None) != 2:
            raise NotImplementedError("packs of packs")
        packed = [
            _with_axis(*each, info.batch_size) for each in zip((x, weight, bias), in_dims[:3], strict=True)
        ]
        return _Affine.apply(*packed, relu), 0  # type: ignore[no-untyped-call]


def _with_axis(values: Tensor, axis: int | None, size: int) -> Tensor:
    """Return values with the axis of the pack before all others."""
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
    """Return [(P,) ..., n] as [(P,) rows, n], with the axis P if the weights have it."""
    return values.reshape(*weight.shape[:-2], -1, values.shape[-1])


class Affine(nn.Linear):
    """An affine layer, [..., inputs] -> [..., outputs], with a ReLU after it or without."""

    def __init__(self, inputs: int, outputs: int, relu: bool = False) -> None:
        """Build the layer, with PyTorch's own initial weights."""
        super().__init__(inputs, outputs)
        self.relu = relu

    def forward(self, x: Tensor) -> Tensor:
        """Return the layer's output."""
        kind = x.device.type
        if kind == "meta" or not torch.is_autocast_enabled(kind):
            return _Affine.apply(x, self.weight, self.bias, self.relu)  # type: ignore[no-untyped-call,no-any-return]
        low = [value.to(torch.get_autocast_dtype(kind)) for value in (x, self.weight, self.bias)]
        result: Tensor = _Affine.apply(*low, self.relu)  # type: ignore[no-untyped-call]
        return result if self.relu else result.float()
