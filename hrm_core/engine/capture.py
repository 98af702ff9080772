"""CUDA graphs: a step's kernels are recorded once and replayed in one launch.

A small network's step is mostly launching; a large one gains nothing.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from hrm_core.engine.carry import Moved, Run
from hrm_core.model.network import Network

NUM_WARM_UPS = 3

Replay = Callable[[], None]


class CapturedRun:
    """A run for one network and one number of slots, recorded at its first call.

    Inputs are copied to where the recording reads them; outputs are overwritten by the next call.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._recorded: tuple[tuple[Tensor, ...], Moved, Replay] | None = None

    def __call__(self, network: Network, *inputs: Tensor) -> Moved:
        if self._recorded is None:
            own = tuple(tensor.clone() for tensor in inputs)
            self._recorded = (own, *record(partial(self._run, network, *own)))
        own, outputs, replay = self._recorded
        for tensor, given in zip(own, inputs, strict=True):
            tensor.copy_(given)
        replay()
        return outputs


def record(call: Callable[[], Moved]) -> tuple[Moved, Replay]:
    """Record what a call launches on CUDA; gives its outputs and what computes them once more."""
    beside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    beside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(beside):  # libraries choose kernels and take workspaces here
        for _ in range(NUM_WARM_UPS):
            call()
    torch.cuda.current_stream().wait_stream(beside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        outputs = call()
    return outputs, graph.replay
