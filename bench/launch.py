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
    peak_kib = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    report = {
        "exit_code": done.returncode,
        "wall_s": wall_s,
        "peak_bytes": peak_kib * 1024,
        "stdout": done.stdout,
        "stderr": done.stderr,
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
