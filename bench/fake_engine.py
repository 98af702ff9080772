"""An engine without a network: every sample is returned unchanged after one step."""

import time
from types import SimpleNamespace

import numpy as np

from hrm_core import Checkpoint, Halting, Outcome, Priority, pick_device


class FakeEngine:
    """A replacement for `hrm_core.Engine`.

    Units: `step_s`, the duration of a step, in seconds.
    """

    def __init__(self, checkpoint: Checkpoint, step_s: float = 0.0, num_slots: int = 64) -> None:
        self.checkpoint, self.step_s, self.num_slots = checkpoint, step_s, num_slots
        self.device, self.precision = pick_device("cpu"), "none"
        self.attention = SimpleNamespace(name="none")
        self.num_steps = self.num_seated = 0
        self._waiting: list = []

    is_cold = False

    @property
    def is_idle(self) -> bool:
        return not self._waiting

    def add(
        self,
        samples,
        *,
        job,
        halting=Halting.ACT,
        max_segments=None,
        priority=Priority.INTERACTIVE,
    ) -> None:
        self._waiting += [(job, sample) for sample in samples]

    def cancel(self, job, wanted=lambda sample_id: True) -> int:
        kept = [(j, s) for j, s in self._waiting if j is not job or not wanted(s.sample_id)]
        num_dropped = len(self._waiting) - len(kept)
        self._waiting = kept
        return num_dropped

    def step(self) -> list[Outcome]:
        time.sleep(self.step_s)
        self.num_steps += 1
        seated = self._waiting[: self.num_slots]
        self._waiting = self._waiting[self.num_slots :]
        return [self._outcome(job, sample) for job, sample in seated]

    def _outcome(self, job, sample) -> Outcome:
        # Like a model's, q is the same for the same sample at any time.
        q_halt_logit = sample.sample_id[-1] % 7 - 3.0
        tokens = sample.tokens.astype(np.uint8)
        return Outcome(job, sample.sample_id, tokens, q_halt_logit, 0.0, 1)
