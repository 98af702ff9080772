"""The clock that starts with the process."""

import subprocess
import sys
import time

PROGRAM = """
import time
from service.runtime.process_clock import seconds_since_start
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
