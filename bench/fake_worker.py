"""A worker process with fake engines, for benches and tests: `python -m bench.fake_worker`.

It reads the same variables as `hrm-arc worker`. A fake engine fails the self-test, so
set HRM_ARC_ALLOW_UNVERIFIED=true. `--step-s 0.1` makes each step take that long;
`--fail-after N` makes the engine fail at its N-th step.
"""

import argparse
import sys
from functools import partial

from bench.fake_engine import FakeEngine
from service.runtime.logs import configure_logging
from service.runtime.settings import Settings
from service.worker import run_worker


def main() -> int:
    """Run a worker with fake engines and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--step-s", type=float, default=0.0)
    parser.add_argument("--slots", type=int, default=64)
    parser.add_argument("--fail-after", type=int)
    arguments = parser.parse_args()
    settings = Settings.load()
    configure_logging(settings, "worker")
    make = partial(
        FakeEngine
        if arguments.fail_after is None
        else partial(FailingEngine, arguments.fail_after),
        step_s=arguments.step_s,
        num_slots=arguments.slots,
    )
    return run_worker(settings, make)


class FailingEngine(FakeEngine):
    """A fake engine that fails like a device, at a given step."""

    def __init__(self, fail_after: int, *arguments, **options) -> None:
        super().__init__(*arguments, **options)
        self._fail_after = fail_after

    def step(self):
        if self.num_steps >= self._fail_after:
            raise RuntimeError("CUDA error: an illegal memory access was encountered")
        return super().step()


if __name__ == "__main__":
    sys.exit(main())
