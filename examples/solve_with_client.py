"""Solves a task file through a service and prints the answer.

python examples/solve_with_client.py [TASK.json] [URL]
"""

import sys
from pathlib import Path

from service.client import Client, JobUnsuccessful, Progress, ServiceProblem

TASK = Path(__file__).with_name("6150a2bd.json")
URL = "http://127.0.0.1:8400"


def show(progress: Progress) -> None:
    """Print how far the vote is."""
    print(f"{progress.outcomes} of {progress.asked} variants", file=sys.stderr)


def main(task: str = str(TASK), url: str = URL) -> int:
    """Solve the task and print the attempts at each of its test inputs."""
    with Client(url) as client:
        try:
            answer = client.solve(task, on_progress=show, variants=16, seed=0)
        except ServiceProblem as problem:
            print(f"refused ({problem.code}): {problem.detail}", file=sys.stderr)
            return 1
        except JobUnsuccessful as failure:
            print(f"failed ({failure.code}): {failure.detail}", file=sys.stderr)
            return 1
    for number, test in enumerate(answer.tests, start=1):
        print(f"test input {number}: {test.votes} votes")
        for index, (grid, candidate) in enumerate(
            zip(test.attempts, test.candidates, strict=False)
        ):
            sure = f", confidence {test.confidence[index]:.0%}" if test.confidence else ""
            print(f"  {candidate.share:.0%} of them{sure}:")
            for row in grid.to_rows():
                print("   ", *row)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
