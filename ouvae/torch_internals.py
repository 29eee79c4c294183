"""PyTorch's private and unstable surface: each use of it, with its reason.

PyTorch may change any of this without notice. `pyproject.toml` therefore excludes the versions of torch that
no test has seen, and `tests/ouvae/test_torch_internals.py` has a test for each entry. To raise the bound,
install the new version and run that file. What happens when PyTorch changes an entry:

- the state of the CPU generator: `TorchChangedError`, because noise would change silently;
- tracing, or an operation of a traced step: the same numbers more slowly, from the eager step or from the
  operations that are left;
- gradients of activations, Adam, autocasting, storages: no fallback; an import or a test fails.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.fx import GraphModule, Node
from torch.optim.adam import adam

# `make_fx` records the operations of a step. Without it, modules, vmap and autograd take as long as the
# arithmetic of a small model.

try:
    from torch.fx.experimental.proxy_tensor import make_fx
except ImportError:
    make_fx = None  # type: ignore[assignment]

_ATEN = torch.ops.aten

fused_adam = adam
"""The function behind `torch.optim.Adam`. The first `torch.optim.Adam` object of a process loads PyTorch's
compiler, which takes more than a second."""

# Gradients of activations from their results. PyTorch's layers keep the argument too, for the backward pass.
elu_backward = _ATEN.elu_backward
leaky_relu_backward = _ATEN.leaky_relu_backward
tanh_backward = _ATEN.tanh_backward
threshold_backward = _ATEN.threshold_backward

softplus = _ATEN.softplus
"""Softplus with the overload `out`, which `torch.nn.functional` lacks."""


class TorchChangedError(RuntimeError):
    """This version of PyTorch would give other numbers; the message says which one to install."""


_TWISTER = slice(3, 3 + 624)
"""The 64-bit words of a CPU generator's state that hold the Mersenne Twister."""


def seeded_generator(seed: int) -> torch.Generator:
    """Return a CPU generator in the state of NumPy's MT19937 of a seed of any size.

    A generator's own `manual_seed` uses 32 bits, too few for tens of thousands of streams.

    Raises:
        TorchChangedError: PyTorch keeps the generator's state in another layout.
    """
    _check_state_layout()
    return _with_twister_of(seed)


@cache
def _check_state_layout() -> None:
    """Compare raw numbers of a seeded generator with NumPy's, once in a process."""
    with suppress(RuntimeError, ValueError):  # the state is refused, or has another size
        expected = np.random.MT19937(1).random_raw(4)[1:] % 2**31
        drawn = torch.empty(3, dtype=torch.int32).random_(generator=_with_twister_of(1))
        if drawn.tolist() == expected.tolist():
            return
    raise TorchChangedError(
        f"PyTorch {torch.__version__} keeps the state of its CPU generator in another layout than tested "
        "versions, so members would get other noise; install a version that pyproject.toml allows"
    )


def _with_twister_of(seed: int) -> torch.Generator:
    generator = torch.Generator("cpu").manual_seed(0)
    state = generator.get_state()
    words: np.ndarray = np.random.MT19937(seed).state["state"]["key"]
    state.numpy().view(np.uint64)[_TWISTER] = words
    return generator.set_state(state)


def operation(name: str) -> Any:
    """Return one of PyTorch's operations, such as `add.Tensor`, or None if there is no such operation."""
    packet, _, overload = name.partition(".")
    return getattr(getattr(_ATEN, packet, None), overload, None)


def operations(*names: str) -> frozenset[Any]:
    """Return the operations with these names; leave out names that PyTorch lacks."""
    return frozenset(map(operation, names)) - {None}


def replacements(names: Mapping[str, str]) -> dict[Any, Any]:
    """Map operations to their replacements; leave out pairs in which PyTorch lacks an operation."""
    pairs = ((operation(name), operation(other)) for name, other in names.items())
    return {old: new for old, new in pairs if old is not None and new is not None}


def layout(node: Node) -> tuple[torch.Size, tuple[int, ...], torch.dtype] | None:
    """Return shape, strides and type of a traced operation's result; None if it is no tensor.

    `make_fx` keeps an example of the result under the key `val` of the node's metadata.
    """
    example = node.meta.get("val")
    return (example.shape, example.stride(), example.dtype) if isinstance(example, Tensor) else None


def trace(function: Callable[..., Any], *inputs: Any) -> GraphModule | None:
    """Return the operations of a function at example inputs; None if PyTorch cannot trace."""
    return None if make_fx is None else make_fx(function)(*inputs)


def autocast_dtype(device: str) -> torch.dtype | None:
    """Return the type in which a kind of device multiplies now; None without autocasting.

    A custom autograd function has to convert its arguments itself.
    """
    # A step may be traced on the meta device, for which autocasting cannot be queried.
    if device == "meta" or not torch.is_autocast_enabled(device):
        return None
    return torch.get_autocast_dtype(device)


def storage_of(tensor: Tensor) -> torch.UntypedStorage:
    """Return the memory of a tensor: the same object for the tensor and all its views.

    On the meta device, where nothing has an address, the object is all that identifies memory.
    """
    return tensor.untyped_storage()
