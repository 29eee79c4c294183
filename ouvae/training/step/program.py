"""The program of a training step, shortened: fewer operations, fewer passes over memory, the same numbers.

`make_fx` writes down every operation that autograd and `vmap` come down to. Many are other names and views of
what is there already, and many results are read once, by the operation after them, which can as well write
over them: on a CPU fresh memory costs more than the arithmetic of a sum.
"""

import torch
from torch import Tensor
from torch.fx import GraphModule, Node

_ATEN = torch.ops.aten

_VIEWS = (_ATEN.view.default, _ATEN.expand.default, _ATEN.permute.default, _ATEN.transpose.int)

_IN_PLACE = {
    _ATEN.add.Tensor: _ATEN.add_.Tensor,
    _ATEN.sub.Tensor: _ATEN.sub_.Tensor,
    _ATEN.mul.Tensor: _ATEN.mul_.Tensor,
    _ATEN.div.Tensor: _ATEN.div_.Tensor,
    _ATEN.neg.default: _ATEN.neg_.default,
    _ATEN.exp.default: _ATEN.exp_.default,
    _ATEN.sigmoid.default: _ATEN.sigmoid_.default,
}
"""Operations that give each element of their first argument something in its place."""

_GRADIENTS = {
    gradient.default: gradient.grad_input
    for gradient in (
        _ATEN.threshold_backward,
        _ATEN.tanh_backward,
        _ATEN.elu_backward,
        _ATEN.leaky_relu_backward,
        _ATEN.gelu_backward,
    )
}
"""Gradients of activations, and the form that is given where to write."""

_FRESH = (
    *_IN_PLACE,
    _ATEN.bmm.default,
    _ATEN.mm.default,
    _ATEN.softplus.default,
    _ATEN.softplus_backward.default,
)
"""Operations whose result is memory that nothing before them reads."""


def shortened(program: GraphModule, in_place: bool) -> GraphModule:
    """Return a program without autograd's leftovers, which gives the same numbers to the bit.

    Args:
        program: as `make_fx` writes it; it is changed.
        in_place: whether operations write over what nobody reads any more.
    """
    for node in program.graph.nodes:
        if node.target is _ATEN.detach.default or _is_other_name(node):
            node.replace_all_uses_with(node.args[0])
    program.graph.eliminate_dead_code()
    if in_place:
        written_over: set[Node] = set()
        for node in program.graph.nodes:
            if _put_in_place(node, written_over):
                written_over.add(node)
    program.recompile()
    return program


def _is_other_name(node: Node) -> bool:
    """Tell whether a view has the shape and the strides of what it is a view of."""
    return node.target in _VIEWS and _lies_as(node, node.args[0])


def _put_in_place(node: Node, written_over: set[Node]) -> bool:
    """Let an operation write over its first argument where nothing else reads that; return whether it does.

    Args:
        node: the operation.
        written_over: operations before it that do.
    """
    if node.target not in _IN_PLACE and node.target not in _GRADIENTS:
        return False
    first = node.args[0]
    if not (isinstance(first, Node) and _lies_as(node, first) and _is_read_once(first, written_over)):
        return False
    if node.target in _IN_PLACE:
        node.target = _IN_PLACE[node.target]
    else:
        node.target = _GRADIENTS[node.target]
        node.kwargs = {**node.kwargs, "grad_input": first}
    return True


def _is_read_once(node: Node, written_over: set[Node]) -> bool:
    """Tell whether one operation alone reads a result, and the memory that it is a view of.

    What the program itself writes in place, as it was written down, may have been read from elsewhere.
    """
    while node.target in _VIEWS and len(node.users) == 1:
        node = node.args[0]  # type: ignore[assignment]
    return (node.target in _FRESH or node in written_over) and len(node.users) == 1


def _lies_as(node: Node, other: object) -> bool:
    """Tell whether two results have one shape, one type and the same strides."""
    if not isinstance(other, Node):
        return False
    own, others = node.meta.get("val"), other.meta.get("val")
    if not (isinstance(own, Tensor) and isinstance(others, Tensor)):
        return False
    return (own.shape, own.stride(), own.dtype) == (others.shape, others.stride(), others.dtype)
