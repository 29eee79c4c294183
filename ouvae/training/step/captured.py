"""Functions of tensors as CUDA graphs: one launch in place of the hundreds that a step of small models is."""

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
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
        self._graph: torch.cuda.CUDAGraph | None = None
        self._inputs: list[Tensor] = []
        self._outputs: Sequence[Tensor] = ()

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Return the function's results."""
        if not self._inputs:
            self._inputs = [value.clone() for value in inputs]
            return self._beside()
        for own, given in zip(self._inputs, inputs, strict=True):
            own.copy_(given)
        if self._graph is None:
            self._graph = self._capture()
        self._graph.replay()
        return tuple(output.clone() for output in self._outputs)

    def _beside(self) -> tuple[Tensor, ...]:
        """Run on a stream of its own, where libraries get their workspaces before a capture."""
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            outputs = tuple(self._function(*self._inputs))
        torch.cuda.current_stream().wait_stream(stream)
        for output in outputs:
            output.record_stream(torch.cuda.current_stream())
        return outputs

    def _capture(self) -> torch.cuda.CUDAGraph:
        graph = torch.cuda.CUDAGraph()
        with _without_collection(), torch.cuda.graph(graph):
            self._outputs = self._function(*self._inputs)
        return graph


@contextmanager
def _without_collection() -> Iterator[None]:
    """Collect garbage now and none later: an older graph that is freed ends a capture with an error."""
    was_on = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
