"""The worker's choice of a checkpoint for jobs that name none."""

from collections.abc import Callable
from typing import Any

import pytest

from augment import Puzzle
from service.jobs import CheckpointRecord, Job, KnownPuzzle
from service.wire.checkpoint import Finding
from service.wire.errors import UnknownPuzzle
from service.worker.job_table import CheckpointChooser, read_request
from service.worker.opening import ServedCheckpoint


def served(name: str, *puzzles: Puzzle, canvas: int = 30) -> ServedCheckpoint:
    """Return a checkpoint as a worker serves it, which knows these puzzles."""
    record = CheckpointRecord(
        name=name,
        sha256=name * 8,
        architecture="hrm",
        canvas=canvas,
        parameters=1,
        rows=2,
        puzzles=len(puzzles),
        halt_max_steps=2,
        finding=Finding.ALIGNED,
        verdict="aligned",
        base=True,
    )
    known = tuple(
        KnownPuzzle(name=one.name, demonstrations_sha256=one.demonstrations_hash, variants=1)
        for one in puzzles
    )
    return ServedCheckpoint(record, known)


@pytest.fixture
def choose(job_of: Callable[..., Job], probes: tuple[Puzzle, ...]) -> Callable[..., str]:
    """Return what chooses for a job of the first probe, which only `knows` has rows for."""

    def choose(default: str | None = None, *, adapts: bool = True, **options: Any) -> str:
        opened = (served("first"), served("knows", probes[0]), served("tiny", canvas=1))
        chooser = CheckpointChooser(opened, default, adapts=adapts)
        return chooser.choose(read_request(job_of(probes[0], **options)))

    return choose


def test_it_is_chosen_by_what_the_served_checkpoints_know(choose: Callable[..., str]) -> None:
    assert choose() == choose("first") == choose(adapt="never") == choose(adapts=False) == "knows"
    assert choose("first", adapt="always") == "knows"  # the base that knows the most puzzles


def test_beside_an_ensemble_it_is_the_default_one(choose: Callable[..., str]) -> None:
    assert choose(ensemble=["knows"]) == "first"


def test_a_configured_one_that_is_not_served_is_not_replaced(choose: Callable[..., str]) -> None:
    assert choose("gone") == "gone"


def test_a_worker_that_does_not_adapt_refuses_what_is_unknown(
    job_of: Callable[..., Job], probes: tuple[Puzzle, ...]
) -> None:
    request = read_request(job_of(probes[1]))
    chooser = CheckpointChooser([served("first", probes[0])], None, adapts=False)
    with pytest.raises(UnknownPuzzle):
        chooser.choose(request)
    assert CheckpointChooser([served("first")], None, adapts=True).choose(request) == "first"
