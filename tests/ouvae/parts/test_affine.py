"""Affine layers agree with PyTorch's layers, alone and in packs."""

import pytest
import torch
from torch import nn
from torch.func import functional_call, grad, stack_module_state, vmap

from ouvae.parts.activations import ACTIVATIONS
from ouvae.parts.affine import NARROW, Affine
from tests.ouvae.tensors import are_alike

SIZES = [(3, 5), (NARROW - 1, 20), (NARROW, 2), (1, 1)]
KINDS = [None, *ACTIVATIONS]


def plain(affine: Affine) -> nn.Module:
    """Return PyTorch's own layers at the same weights."""
    linear = nn.Linear(affine.in_features, affine.out_features, dtype=affine.weight.dtype)
    linear.load_state_dict(affine.state_dict())
    return nn.Sequential(linear, ACTIVATIONS[affine.activation].layer()) if affine.activation else linear


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("activation", KINDS)
@pytest.mark.parametrize("leading", [(7,), (), (4, 7)])
def test_value_and_gradient_of_one_model(sizes, activation, leading):
    affine = Affine(*sizes, activation).double()
    x = torch.randn(*leading, sizes[0], dtype=torch.float64, requires_grad=True)
    actual = []
    for layer in (affine, plain(affine)):
        y = layer(x)
        actual.append([y, *torch.autograd.grad(y.square().sum(), [x, *layer.parameters()])])
    assert all(map(are_alike, *actual))


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("activation", KINDS)
@pytest.mark.parametrize("x_axis", [0, 1, 2, None])
@pytest.mark.parametrize("by", ["autograd", "func.grad"])
def test_value_and_gradient_in_a_pack(sizes, activation, x_axis, by):
    """Each member has the values of its layer alone, for any position of the pack's axis in the images."""
    layers = [Affine(*sizes, activation).double() for _ in range(3)]
    stacked, _ = stack_module_state(layers)
    x = torch.randn(4, 7, sizes[0], dtype=torch.float64)
    packed = x if x_axis is None else torch.stack([x, 2 * x, x - 1], x_axis)

    def energy(parameters, x):
        return functional_call(layers[0], parameters, x).square().sum()

    if by == "autograd":
        energies = vmap(energy, in_dims=(0, x_axis))(stacked, packed)
        gradients = dict(
            zip(stacked, torch.autograd.grad(energies.sum(), list(stacked.values())), strict=True)
        )
    else:
        gradients = vmap(grad(energy), in_dims=(0, x_axis))(stacked, packed)
    for member, layer in enumerate(layers):
        reference = plain(layer)
        reference(x if x_axis is None else packed.select(x_axis, member)).square().sum().backward()
        for name, parameter in zip(stacked, reference.parameters(), strict=True):
            assert are_alike(gradients[name][member], parameter.grad)


def test_inputs_of_many_at_one_model_and_weights_alone():
    affine = Affine(3, 4, "relu").double()
    x = torch.randn(6, 7, 3, dtype=torch.float64)
    assert are_alike(vmap(affine, in_dims=1, out_dims=1)(x), plain(affine)(x))
    weights = torch.randn(5, 4, 3, dtype=torch.float64)
    actual = vmap(lambda weight: functional_call(affine, {"weight": weight}, x))(weights)
    assert are_alike(actual, (x @ weights[:, None].mT + affine.bias).relu())


@pytest.mark.parametrize("activation", KINDS)
def test_the_gradient_is_that_of_differences(activation):
    affine = Affine(3, 4, activation).double()
    x = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(affine, x)
