"""A worker that really answers, but takes its time at each step: votes that can be watched."""

import sys
import time

from hrm_core import Checkpoint, Engine, EngineConfig, Outcome, pick_device
from service.runtime.logs import configure_logging
from service.runtime.settings import Settings
from service.worker import run_worker

STEP_S = 0.3
NUM_SLOTS = 4


class SlowEngine(Engine):
    """An engine that waits before each step."""

    def step(self) -> list[Outcome]:
        """Wait, then step."""
        time.sleep(STEP_S)
        return super().step()


def make(checkpoint: Checkpoint) -> SlowEngine:
    """Make the engine, whatever the settings say of its size."""
    return SlowEngine(checkpoint, EngineConfig(pick_device("cpu"), num_slots=NUM_SLOTS))


def main() -> int:
    """Run the worker; gives the exit code."""
    settings = Settings.load()
    configure_logging(settings, "worker")
    return run_worker(settings, make)


if __name__ == "__main__":
    sys.exit(main())
