"""`python -m bench`: measure this machine, and make what the measurements need."""

import json
import resource
import subprocess
import sys
import time
from collections.abc import Sequence


def launch(command: Sequence[str]) -> None:
    """Run a command and print its time and peak memory as one JSON line.

    A process begins with the peak memory of its parent, so the measuring process must be smaller
    than what it measures: this one imports only the standard library.
    """
    start = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wall_s = time.monotonic() - start
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    report = {
        "exit_code": done.returncode,
        "wall_s": wall_s,
        "processor_s": usage.ru_utime + usage.ru_stime,
        "peak_bytes": usage.ru_maxrss * 1024,  # Linux counts in KiB
        "stdout": done.stdout,
        "stderr": done.stderr,
    }
    print(json.dumps(report))


if __name__ == "__main__":
    if sys.argv[1:2] == ["launch"]:
        launch(sys.argv[2:])
    elif sys.argv[1:2] == ["tune"]:  # on hosts that lack what the other commands need
        from bench.tune.sitting import tune

        sys.exit(tune(sys.argv[2:]))
    else:
        from bench.commands import main

        main()
