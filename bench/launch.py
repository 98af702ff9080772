"""Run a command from a lean process, and tell its time and peak memory as one JSON line.

A process begins with its parent's peak as its own, so the measuring process must be smaller than
anything it measures: it imports nothing but the standard library.
"""

import json
import resource
import subprocess
import sys
import time


def main() -> None:
    """Run the command given as arguments."""
    start = time.monotonic()
    done = subprocess.run(sys.argv[1:], capture_output=True, text=True, check=False)
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
    main()
