"""A function of tensors recorded once as a CUDA graph and replayed: one launch in place of hundreds.

A step of the planner is some hundred small kernels. Launched one by one they keep a GPU waiting for Python; replayed
they run one after the other.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from hybridgen import ops

WARM_UPS = 3  # calls before the recording: what is set up at a first call cannot be recorded


def captured(function: Callable[..., Tensor], device: torch.device) -> Callable[..., Tensor]:
    """`function` as a CUDA graph on a GPU whose kernels are there, itself elsewhere.

    function: of tensors, always of the same shapes. It must read nothing back, must do the same when it is called
    twice in a row (it is, while it is recorded), and whatever else it reads or writes must stay where it is. The tensor
    that a call returns is overwritten by the next.
    """
    return Captured(function) if ops.are_fast_on(device) else function


class Captured:
    """The graph of a function, recorded at the first call."""

    def __init__(self, function: Callable[..., Tensor]):
        self.function = function
        self.graph: torch.cuda.CUDAGraph | None = None
        self.inputs: tuple[Tensor, ...] = ()
        self.output: Tensor | None = None

    def __call__(self, *given: Tensor) -> Tensor:
        """The output for these inputs; ValueError where a shape is not that of the first call."""
        if self.graph is None:
            self._record(given)
        for own, new in zip(self.inputs, given, strict=True):
            if own.shape != new.shape:
                raise ValueError(f"a graph of {tuple(own.shape)} cannot take {tuple(new.shape)}")
            own.copy_(new, non_blocking=True)
        assert self.graph is not None and self.output is not None
        self.graph.replay()
        return self.output

    def _record(self, given: tuple[Tensor, ...]) -> None:
        self.inputs = tuple(x.clone() for x in given)
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM_UPS):
                self.function(*self.inputs)
        torch.cuda.current_stream().wait_stream(side)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.output = self.function(*self.inputs)
