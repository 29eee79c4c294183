"""Functions of tensors as CUDA graphs: one launch in place of the hundreds that a step of small models is."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import torch
from torch import Tensor

Function: TypeAlias = Callable[..., Sequence[Tensor]]


class Captured:
    """A function that is run as written the first time, then captured, and from then on replayed.

    Arguments are copied into buffers that never move, and results out of them. Whatever else the function
    reads or writes has to stay where it is; it may ask neither the host nor a generator for anything.

    Args:
        function: of tensors whose shapes are the same in every call.
    """

    def __init__(self, function: Function) -> None:
        """Capture nothing yet."""
        self._function = function
        self._warm = False
        self._graph: torch.cuda.CUDAGraph | None = None
        self._inputs: list[Tensor] = []
        self._outputs: Sequence[Tensor] = ()

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Return the function's results."""
        if not self._warm:
            self._warm = True
            return self._beside(inputs)
        if self._graph is None:
            self._capture(inputs)
        else:
            for own, given in zip(self._inputs, inputs, strict=True):
                own.copy_(given)
        assert self._graph is not None
        self._graph.replay()
        return tuple(output.clone() for output in self._outputs)

    def _beside(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Run on a stream of its own, where libraries get their workspaces before a capture."""
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            outputs = tuple(self._function(*inputs))
        torch.cuda.current_stream().wait_stream(stream)
        for output in outputs:
            output.record_stream(torch.cuda.current_stream())
        return outputs

    def _capture(self, inputs: Sequence[Tensor]) -> None:
        self._inputs = [value.clone() for value in inputs]
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._outputs = self._function(*self._inputs)
