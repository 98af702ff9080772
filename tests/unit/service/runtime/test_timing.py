"""Pauses between attempts, and the clock that starts with the process."""

import subprocess
import sys
import time

from service.runtime.timing import Backoff, backoff_s

PROGRAM = """
import time
from service.runtime.timing import seconds_since_start
before = seconds_since_start()
time.sleep(0.25)
print(before, seconds_since_start())
"""


def test_the_clock_counts_from_the_start_of_the_process() -> None:
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    )
    took_s = time.monotonic() - started

    before, after = map(float, done.stdout.split())
    assert before > 0
    assert after - before >= 0.25
    assert after <= took_s + 0.02  # the system keeps the start in hundredths of a second


def test_pauses_double_up_to_the_limit_and_start_again_after_a_success() -> None:
    backoff = Backoff(first_s=1.0, max_s=5.0)
    for longest_s in (1.0, 2.0, 4.0, 5.0, 5.0):
        assert longest_s / 2 <= backoff.next_s() <= longest_s
    backoff.reset()
    assert backoff.next_s() <= 1.0


def test_a_pause_has_its_limit_after_any_number_of_failures() -> None:
    assert backoff_s(10_000, first_s=0.1, max_s=2.0) <= 2.0
