"""One stage of a sitting, in a process of its own: what it does to the device ends with it."""

import json
import sys
from pathlib import Path

from bench.tune.plan import Plan
from bench.tune.stages import STAGES


def main(name: str, plan: str, out: str) -> None:
    """Run a stage, and add each of its measurements to a file of JSON lines as it comes."""
    stage, _ = STAGES[name]
    with Path(out).open("a", encoding="utf-8") as file:
        for row in stage(Plan.from_text(plan)):
            file.write(json.dumps({"stage": name} | row) + "\n")
            file.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
