"""Opening a checkpoint for service: its folder is read, and its rows are tested."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from augment import AugmentError
from hrm_core import HRMCoreError
from service.jobs import CheckpointRecord, KnownPuzzle
from service.solving.enrolment import RowIndex
from service.solving.examination import examine
from service.wire.checkpoint import Finding
from service.wire.errors import AlignmentError, InputError
from service.worker.engine_pool import EnginePool

# What keeps a checkpoint from being served; any other error is a fault of the engine.
OPENING_ERRORS = (HRMCoreError, InputError, AugmentError)


@dataclass(frozen=True, slots=True)
class ServedCheckpoint:
    """A checkpoint that is served, and the puzzles it knows."""

    record: CheckpointRecord
    puzzles: tuple[KnownPuzzle, ...]


def open_served(
    name: str, pool: EnginePool, *, allow_unverified: bool, on_step: Callable[[], None]
) -> ServedCheckpoint:
    """Load and test a checkpoint of a pool.

    `on_step` is called between steps, and an exception from it ends the opening. While all engines
    are busy it is called until there is room for another.

    Raises: one of OPENING_ERRORS where it cannot be served.
    """
    on_step()
    started = time.monotonic()
    row_index = pool.row_index(name)
    if row_index.kind.has_own_rows:
        row_index.check_arc()
    while (engine := pool.acquire(name)) is None:
        on_step()
    puzzles = _known_puzzles(row_index)
    if row_index.kind.rules is not None:
        finding, verdict = Finding.CHECKED, "each answer is checked by the rules"
    else:
        try:
            with pool.testing(name):
                examination = examine(engine, row_index, on_step=on_step)
            finding, verdict = examination.finding, examination.verdict
        except AlignmentError as error:
            finding, verdict = Finding.UNTESTED, str(error)
    checkpoint, config = row_index.checkpoint, row_index.checkpoint.config
    record = CheckpointRecord(
        name=name,
        sha256=checkpoint.sha256,
        architecture=config.architecture,
        kind=row_index.kind.name,
        canvas=config.canvas,
        crop=config.crop,
        parameters=checkpoint.num_parameters,
        rows=config.num_rows,
        puzzles=len(puzzles),
        halt_max_steps=config.max_segments,
        finding=finding,
        verdict=verdict,
        # New rows do not need names that are known to be right, only a trunk that works.
        base=row_index.kind.has_own_rows
        and finding is not Finding.MISALIGNED
        and row_index.adaptation is None,
    )
    # Of too few puzzles, as many a first checkpoint has, nothing is known: its answers say so.
    if record.finding is Finding.MISALIGNED and not allow_unverified:
        raise AlignmentError(
            f"{record.verdict}. To serve it all the same, set HRM_ARC_ALLOW_UNVERIFIED=true"
        )
    structlog.get_logger(__name__).info(
        "checkpoint served",
        checkpoint=name,
        verdict=record.verdict,
        notes=list(checkpoint.notes),
        device=str(engine.device),
        slots=engine.num_slots,
        seconds=round(time.monotonic() - started, 3),
    )
    return ServedCheckpoint(record, puzzles)


def _known_puzzles(row_index: RowIndex) -> tuple[KnownPuzzle, ...]:
    """Return the puzzles that a checkpoint knows by their demonstrations and has rows for."""
    names = (row_index.checkpoint.names or ())[1:]
    num_rows = Counter(map(row_index.dialect.puzzle_of, names))
    known = row_index.puzzle_index.demonstrations if row_index.puzzle_index else {}
    return tuple(
        KnownPuzzle(name=name, demonstrations_sha256=demonstrations, variants=num_rows[name])
        for name, demonstrations in known.items()
        if num_rows[name]
    )
