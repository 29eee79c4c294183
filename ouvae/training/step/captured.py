"""Functions of tensors as CUDA graphs: one launch instead of the hundreds in a step of small models."""

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeAlias

import torch
from torch import Tensor

Function: TypeAlias = Callable[..., Sequence[Tensor]]


class Captured:
    """A function that runs plainly in its first call, is captured in the second, and replayed from then on.

    Arguments are copied into buffers that never move, and results out of them. Everything else that the
    function reads or writes must stay in place. The function may not wait for the host or use a generator,
    and the shapes of its arguments are the same in every call.
    """

    def __init__(self, function: Function) -> None:
        self._function = function
        self._graph: torch.cuda.CUDAGraph | None = None
        self._inputs: list[Tensor] = []
        self._outputs: Sequence[Tensor] = ()

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Return the function's results."""
        if not self._inputs:
            self._inputs = [value.clone() for value in inputs]
            return self._warm_up()
        for buffer, value in zip(self._inputs, inputs, strict=True):
            buffer.copy_(value)
        if self._graph is None:
            self._graph = self._capture()
        self._graph.replay()
        return tuple(output.clone() for output in self._outputs)

    def _warm_up(self) -> tuple[Tensor, ...]:
        """Run on a side stream, where libraries allocate their workspaces before the capture."""
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
        with _no_garbage_collection(), torch.cuda.graph(graph):
            self._outputs = self._function(*self._inputs)
        return graph


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Collect garbage before, and none inside: freeing an older graph during a capture is an error."""
    was_enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
