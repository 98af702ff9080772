"""An engine without a network, which returns every sample unchanged after one step.

`python -m bench.fake_engine` is a worker process with such engines, for benches and tests. It reads
the same variables as `hrm-arc worker`. A fake engine fails the self-test, so set
HRM_ARC_ALLOW_UNVERIFIED=true. `--step-s 0.1` makes each step take that long; `--fail-after N` makes
the engine fail at its N-th step.
"""

import argparse
import sys
import time
from functools import partial
from types import SimpleNamespace

import numpy as np

from hrm_core import Checkpoint, Halting, Outcome, Priority, pick_device
from service.runtime.logs import configure_logging
from service.runtime.settings import Settings
from service.worker import run_worker


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
    seated_jobs: frozenset = frozenset()  # each sample leaves in the step that seats it

    @property
    def is_idle(self) -> bool:
        return not self._waiting

    def add(
        self, samples, *, job, halting=Halting.ACT, max_segments=None, priority=Priority.INTERACTIVE
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
        predictions = tokens[None] if sample.is_traced else None
        return Outcome(job, sample.sample_id, tokens, q_halt_logit, 0.0, 1, predictions)


class FailingEngine(FakeEngine):
    """A fake engine that fails like a device, at a given step."""

    def __init__(self, fail_after: int, *arguments, **options) -> None:
        super().__init__(*arguments, **options)
        self._fail_after = fail_after

    def step(self):
        if self.num_steps >= self._fail_after:
            raise RuntimeError("CUDA error: an illegal memory access was encountered")
        return super().step()


def main() -> int:
    """Run a worker with fake engines and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--step-s", type=float, default=0.0)
    parser.add_argument("--slots", type=int, default=64)
    parser.add_argument("--fail-after", type=int)
    given = parser.parse_args()
    settings = Settings.load()
    configure_logging(settings, "worker")
    kind = FakeEngine if given.fail_after is None else partial(FailingEngine, given.fail_after)
    return run_worker(settings, partial(kind, step_s=given.step_s, num_slots=given.slots))


if __name__ == "__main__":
    sys.exit(main())
