"""A worker with steps that take a while without a processor, and jobs that crash it.

A job with the seed POISON ends the process as long as the file that the first argument names is
there. The second argument is how many seconds a step takes beside its work.
"""

import os
import sys
import time
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

from hrm_core import Checkpoint, Engine, EngineConfig, Outcome, Sample, pick_device
from service.runtime.logs import configure_logging
from service.runtime.settings import Settings
from service.worker import run_worker

POISON = 666
NUM_SLOTS = 8


class SoakEngine(Engine):
    """An engine that waits before each step."""

    def __init__(self, checkpoint: Checkpoint, poison: Path, step_s: float) -> None:
        super().__init__(checkpoint, EngineConfig(pick_device("cpu"), num_slots=NUM_SLOTS))
        self._poison, self._step_s = poison, step_s

    def add(self, samples: Iterable[Sample], *, job: Any, **options: Any) -> None:
        """Queue samples, unless they are poison."""
        seed = getattr(getattr(job, "options", None), "seed", None)
        if seed == POISON and self._poison.exists():
            os._exit(86)
        super().add(samples, job=job, **options)

    def step(self) -> list[Outcome]:
        """Wait, then step."""
        time.sleep(self._step_s)
        return super().step()


def main() -> int:
    """Run the worker; return the exit code."""
    settings = Settings.load()
    configure_logging(settings, "worker")
    poison, step_s = Path(sys.argv[1]), float(sys.argv[2])
    return run_worker(settings, partial(SoakEngine, poison=poison, step_s=step_s))


if __name__ == "__main__":
    sys.exit(main())
