"""Runs the service with the shipped checkpoint, solves puzzles over HTTP, and stops it.

`make demo` runs it; arguments are the puzzles. It ends as `hrm-arc solve` does.
"""

import re
import signal
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

HRM_ARC = Path(sys.executable).with_name("hrm-arc")
CHECKPOINT = Path(__file__).parents[1] / "checkpoints" / "arc1"
ADDRESS = re.compile(r"Listening on (http://\S+?),")


def main(puzzles: list[str]) -> int:
    """Serve, solve, stop."""
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(143))  # the service stops first
    with TemporaryDirectory(prefix="hrm-arc-demo-") as state:
        options = ["--port", "0", "--checkpoints", CHECKPOINT, "--state-folder", state]
        with subprocess.Popen(
            [HRM_ARC, "serve", *options, "--log-level", "warning"],
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # a terminal's Ctrl-C comes here, and is passed on once
        ) as serve:
            try:
                url = wait_until_ready(serve)
                if url is None:
                    return serve.wait()
                return solve(puzzles, url)
            finally:
                serve.terminate()
                pass_on(serve)


def solve(puzzles: list[str], url: str) -> int:
    """Solve puzzles one by one, so that each answer is printed when it is there."""
    for puzzle in puzzles:
        show(f"$ hrm-arc solve {puzzle}\n")
        done = subprocess.run([HRM_ARC, "solve", puzzle, "--url", url], check=False)
        if done.returncode:
            return done.returncode
    return 0


def wait_until_ready(serve: "subprocess.Popen[str]") -> str | None:
    """Show what the service says until it is ready; give its address, or None when it ended."""
    url = None
    for line in serve.stdout or ():
        show(line)
        if found := ADDRESS.search(line):
            url = found[1]
        if line.startswith("Ready"):
            return url
    return None


def pass_on(serve: "subprocess.Popen[str]") -> None:
    """Show what the service says until it ends."""
    for line in serve.stdout or ():
        show(line)


def show(line: str) -> None:
    """Print a line now, in its place among those of other programs."""
    sys.stdout.write(line)
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
