"""Shortening the traced program of a training step: fewer passes over memory, the same numbers.

A trace holds every operation that autograd and `vmap` come down to. Many only rename a tensor. Many results
are read once, by the next operation, which can write over them: on a CPU, fresh memory costs more than the
arithmetic of a sum.
"""

from torch.fx import GraphModule, Node

from ouvae.torch_internals import layout, operations, replacements

_DETACH = operations("detach.default")

_VIEWS = operations("view.default", "expand.default", "permute.default", "transpose.int")

_IN_PLACE = replacements(
    {
        "add.Tensor": "add_.Tensor",
        "sub.Tensor": "sub_.Tensor",
        "mul.Tensor": "mul_.Tensor",
        "div.Tensor": "div_.Tensor",
        "neg.default": "neg_.default",
        "exp.default": "exp_.default",
        "sigmoid.default": "sigmoid_.default",
    }
)
"""Elementwise operations, and their form that writes over the first argument."""

_ACTIVATION_GRADIENTS = replacements(
    {
        f"{name}.default": f"{name}.grad_input"
        for name in (
            "threshold_backward",
            "tanh_backward",
            "elu_backward",
            "leaky_relu_backward",
            "gelu_backward",
        )
    }
)
"""Gradients of activations, and their form that takes the memory to write to."""

_FRESH = _IN_PLACE.keys() | operations(
    "bmm.default", "mm.default", "softplus.default", "softplus_backward.default"
)
"""Operations whose result is memory of its own, which no earlier operation reads."""


def shorten(program: GraphModule, in_place: bool) -> GraphModule:
    """Remove autograd's leftovers from a program, which then gives the same numbers to the bit.

    Args:
        program: as traced; it is changed and returned.
        in_place: let operations write over tensors that nothing reads afterwards.
    """
    for node in program.graph.nodes:
        if node.target in _DETACH or _only_renames(node):
            node.replace_all_uses_with(node.args[0])
    program.graph.eliminate_dead_code()
    if in_place:
        overwriting: set[Node] = set()
        for node in program.graph.nodes:
            if _make_in_place(node, overwriting):
                overwriting.add(node)
    program.recompile()
    return program


def _only_renames(node: Node) -> bool:
    """Tell whether a view has the shape and the strides of its argument."""
    return node.target in _VIEWS and _same_layout(node, node.args[0])


def _make_in_place(node: Node, overwriting: set[Node]) -> bool:
    """Let an operation write over its first argument if nothing else reads that; return whether it does.

    `overwriting` are the earlier operations that write over their argument.
    """
    if node.target not in _IN_PLACE and node.target not in _ACTIVATION_GRADIENTS:
        return False
    argument = node.args[0]
    if not isinstance(argument, Node) or not _same_layout(node, argument):
        return False
    if not _is_read_once(argument, overwriting):
        return False
    if node.target in _IN_PLACE:
        node.target = _IN_PLACE[node.target]
    else:
        node.target = _ACTIVATION_GRADIENTS[node.target]
        node.kwargs = {**node.kwargs, "grad_input": argument}
    return True


def _is_read_once(node: Node, overwriting: set[Node]) -> bool:
    """Tell whether only one operation reads a result, and the memory under it.

    The memory must be fresh, or be written by one of `overwriting`: an operation that the trace itself has in
    place may write to memory that others read.
    """
    while node.target in _VIEWS and len(node.users) == 1:
        node = node.args[0]  # type: ignore[assignment]
    return (node.target in _FRESH or node in overwriting) and len(node.users) == 1


def _same_layout(node: Node, other: object) -> bool:
    """Tell whether two results have the same shape, strides and type."""
    return isinstance(other, Node) and layout(node) is not None and layout(node) == layout(other)
