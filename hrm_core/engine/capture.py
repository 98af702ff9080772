"""CUDA graphs: the kernels of a step are recorded once and replayed in one launch.

Most of a small network's step is launching; a large network gains nothing.
"""

from collections.abc import Callable
from functools import partial

import torch

from hrm_core.engine.carry import Run, SegmentOutput, SlotTensors
from hrm_core.model.network import Network

NUM_WARM_UPS = 3

Replay = Callable[[], None]


class CapturedRun:
    """A run for one network and one number of slots, recorded at its first call.

    Inputs are copied to the addresses that the recording reads; the next call overwrites outputs.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._recorded: tuple[SlotTensors, SegmentOutput, Replay] | None = None

    def __call__(self, network: Network, slots: SlotTensors) -> SegmentOutput:
        """Run one segment, by replay after the first call."""
        if self._recorded is None:
            static = SlotTensors(*(tensor.clone() for tensor in slots))
            self._recorded = (static, *record(partial(self._run, network, static)))
        static, output, replay = self._recorded
        for tensor, given in zip(static, slots, strict=True):
            tensor.copy_(given)
        replay()
        return output


def record(call: Callable[[], SegmentOutput]) -> tuple[SegmentOutput, Replay]:
    """Record what a call launches on CUDA; return its output and what computes it again."""
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):  # libraries choose kernels and allocate workspaces here
        for _ in range(NUM_WARM_UPS):
            call()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        output = call()
    return output, graph.replay
