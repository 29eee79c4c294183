"""Shortened programs: the same numbers, and no writing over what is read later."""

import pytest
import torch

from ouvae.torch_internals import trace
from ouvae.training.step.program import shorten

A, B = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))


def read_once(a, b):
    return torch.bmm(a, b).view(3, 16).mul(b.view(3, 16)).neg()


def read_twice(a, b):
    product = torch.bmm(a, b)
    return product.mul(2).exp(), product


def read_through_a_view(a, b):
    product = torch.bmm(a, b)
    turned = product.mT
    return product.mul(2), turned


def arguments(a, b):
    return a.mul(b), b.detach().view(3, 4, 4).neg()


def broadcast(a, b):
    return torch.bmm(a, b).sum(-1, keepdim=True).mul(b), torch.bmm(a, b)[:, :1].add(b)


def written_in_place(a, b):
    product = torch.bmm(a, b)
    flat = product.view(3, 16)
    return flat.add_(1).exp(), product


def masked(a, b):
    return torch.ops.aten.threshold_backward(torch.bmm(a, b), b, 0)


def other_layout(a, b):
    return torch.ops.aten.threshold_backward(torch.bmm(a, b).mT, b, 0).view(3, 16)


CASES = (
    read_once,
    read_twice,
    read_through_a_view,
    arguments,
    broadcast,
    written_in_place,
    masked,
    other_layout,
)


@pytest.mark.parametrize("function", CASES, ids=lambda function: function.__name__)
@pytest.mark.parametrize("in_place", [False, True])
def test_the_numbers_are_the_same_and_arguments_stay(function, in_place):
    a, b = A.clone(), B.clone()
    expected = function(a, b)
    program = shorten(trace(function, a, b), in_place)
    for actual, reference in zip(program(a, b), expected, strict=True):
        assert torch.equal(actual, reference)
    assert torch.equal(a, A)
    assert torch.equal(b, B)


def operations(function, in_place=True):
    program = shorten(trace(function, A.clone(), B.clone()), in_place)
    return [str(node.target) for node in program.graph.nodes if node.op == "call_function"]


def test_a_result_that_is_read_once_is_written_over():
    assert operations(read_once)[-2:] == ["aten.mul_.Tensor", "aten.neg_.default"]
    assert operations(masked)[-1] == "aten.threshold_backward.grad_input"
    assert not any("_." in name for name in operations(read_once, in_place=False))


def test_a_result_that_is_read_again_or_has_another_layout_is_not():
    assert operations(read_twice)[1:] == ["aten.mul.Tensor", "aten.exp_.default"]
    for function in (read_through_a_view, arguments, broadcast):
        assert not any(name.removesuffix(".Tensor").endswith("_") for name in operations(function)), function
    assert "aten.threshold_backward.default" in operations(other_layout)


def test_renaming_operations_are_removed():
    assert operations(arguments) == ["aten.mul.Tensor", "aten.neg.default"]
