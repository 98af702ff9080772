"""Engines without a network for processes of a pooled engine; they are made by name."""

import os
from types import SimpleNamespace
from typing import Any

import numpy as np

from bench.fake_engine import FakeEngine
from hrm_core import Checkpoint, EngineConfig, EngineError, Outcome, Sample, pick_device
from hrm_core.device.arithmetic import Arithmetic
from service.runtime.devices import EngineOptions

FIRST_SLOTS, OTHER_SLOTS = 3, 5
# A sample of this token makes the engine fail, as a device does.
POISON = 11


class PoolFake(FakeEngine):
    """Returns samples unchanged; `q_continue_logit` is the id of the process.

    Where the number of slots is left open, it differs from device to device.
    """

    def __init__(self, checkpoint: Checkpoint, options: EngineOptions) -> None:
        found = FIRST_SLOTS if options.device == "cpu:0" else OTHER_SLOTS
        super().__init__(checkpoint, num_slots=options.slots or found)
        self.config = EngineConfig(pick_device("cpu"), num_slots=options.slots)
        self.arithmetic, self.num_threads = Arithmetic("float32"), 1
        self.attention = SimpleNamespace(name="sdpa")

    @property
    def slots_by_size(self) -> dict[int, int]:
        return {self.checkpoint.config.seq_len: self.num_slots}

    def _outcome(self, job: Any, sample: Sample) -> Outcome:
        if sample.tokens[0] == POISON:
            raise RuntimeError("CUDA error: an illegal memory access was encountered")
        tokens = sample.tokens.astype(np.uint8)
        return Outcome(job, sample.sample_id, tokens, 0.0, float(os.getpid()), 1)


def make_fake(
    checkpoint: Checkpoint, options: EngineOptions, *, say: Any, arithmetic: Any = None
) -> PoolFake:
    say("as fast as it gets")
    return PoolFake(checkpoint, options)


def make_on_first(
    checkpoint: Checkpoint, options: EngineOptions, *, say: Any, arithmetic: Any = None
) -> PoolFake:
    if options.device != "cpu:0":
        raise EngineError("device is not present")
    return PoolFake(checkpoint, options)
