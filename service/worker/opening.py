"""Opening the checkpoints of a worker: each is loaded, tested and described."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from augment import AugmentError
from hrm_core import Engine, HRMCoreError
from service.jobs import CheckpointRecord, KnownPuzzle
from service.solving.enrolment import RowIndex
from service.solving.self_test.record import examine
from service.wire.checkpoint import Finding
from service.wire.errors import AlignmentError, InputError, SettingsError
from service.worker.engine_pool import EnginePool

# Served only where the operator allows it.
_UNVERIFIED = (Finding.MISALIGNED, Finding.UNTESTED)


@dataclass(frozen=True, slots=True)
class ServedCheckpoint:
    """A checkpoint that is served, and the puzzles it knows."""

    record: CheckpointRecord
    puzzles: tuple[KnownPuzzle, ...]


def open_checkpoints(
    pool: EnginePool, *, allow_unverified: bool, on_step: Callable[[], None]
) -> tuple[ServedCheckpoint, ...]:
    """Load and test the checkpoints of a pool; those that cannot be served are withdrawn from it.

    `on_step` is called between steps, and an exception from it ends the opening.

    Raises: SettingsError where none can be served.
    """
    log = structlog.get_logger(__name__)
    opened = []
    for name in pool.names:
        try:
            opened.append(_open(name, pool, allow_unverified, on_step))
        except (HRMCoreError, InputError, AugmentError) as error:
            log.error("checkpoint not served", checkpoint=name, reason=str(error))
            pool.withdraw(name)
    if not opened:
        raise SettingsError(
            "HRM_ARC_CHECKPOINTS: none of the checkpoints can be served; the log says why for "
            "each. Repair them, or set HRM_ARC_ALLOW_UNVERIFIED=true to serve those that only "
            "fail the self-test"
        )
    return tuple(opened)


def _open(
    name: str, pool: EnginePool, allow_unverified: bool, on_step: Callable[[], None]
) -> ServedCheckpoint:
    on_step()
    started = time.monotonic()
    row_index = pool.row_index(name)
    row_index.check_arc()
    engine = pool.acquire(name)
    if engine is None:
        raise RuntimeError("an engine is busy before the first job")
    puzzles = _known_puzzles(row_index)
    record = _examine(name, engine, row_index, len(puzzles), on_step)
    if record.finding in _UNVERIFIED and not allow_unverified:
        raise AlignmentError(
            f"{record.verdict}. To serve it all the same, set HRM_ARC_ALLOW_UNVERIFIED=true"
        )
    structlog.get_logger(__name__).info(
        "checkpoint served",
        checkpoint=name,
        verdict=record.verdict,
        device=str(engine.device),
        slots=engine.num_slots,
        seconds=round(time.monotonic() - started, 3),
    )
    return ServedCheckpoint(record, puzzles)


def _examine(
    name: str,
    engine: Engine,
    row_index: RowIndex,
    num_puzzles: int,
    on_step: Callable[[], None],
) -> CheckpointRecord:
    """Run the self-test and describe the checkpoint."""
    try:
        examination = examine(engine, row_index, on_step=on_step)
        finding, verdict = examination.finding, examination.verdict
    except AlignmentError as error:
        finding, verdict = Finding.UNTESTED, str(error)
    checkpoint = row_index.checkpoint
    config = checkpoint.config
    return CheckpointRecord(
        name=name,
        sha256=checkpoint.sha256,
        architecture=config.architecture,
        canvas=config.canvas,
        parameters=checkpoint.num_parameters,
        rows=config.num_rows,
        puzzles=num_puzzles,
        halt_max_steps=config.halt_max_steps,
        finding=finding,
        verdict=verdict,
    )


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
