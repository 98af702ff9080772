"""Loading and testing the checkpoints that a worker is to serve."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from hrm_core import Engine, HRMCoreError
from service.jobs import CheckpointRecord, KnownPuzzle
from service.solving.enrolment import Registrar
from service.solving.self_test.record import examine
from service.wire.checkpoint import Finding
from service.wire.errors import AlignmentError, EnrolmentError, PuzzleIndexError, SettingsError
from service.worker.residents import Residents

# What is served only where the operator insists.
_REFUSED = (Finding.MISALIGNED, Finding.UNTESTED)


@dataclass(frozen=True, slots=True)
class Opened:
    """A checkpoint that can be served, and the puzzles it knows."""

    record: CheckpointRecord
    puzzles: tuple[KnownPuzzle, ...]


def open_checkpoints(
    residents: Residents, *, allow_unverified: bool, on_step: Callable[[], None]
) -> tuple[Opened, ...]:
    """Load and test every checkpoint, keeping as many as may be resident; drop what is not fit.

    `on_step` is called again and again: what it raises ends the opening.

    Raises: SettingsError where none can be served.
    """
    log = structlog.get_logger(__name__)
    opened = []
    for name in residents.names:
        try:
            opened.append(_open(name, residents, allow_unverified, on_step))
        except (HRMCoreError, EnrolmentError, PuzzleIndexError, AlignmentError) as error:
            log.error("checkpoint not served", checkpoint=name, reason=str(error))
            residents.forget(name)
    if not opened:
        raise SettingsError(
            "HRM_ARC_CHECKPOINTS: none of the checkpoints can be served; the log tells why for "
            "each. Mend them, or set HRM_ARC_ALLOW_UNVERIFIED=true to serve those that only "
            "fail the self-test"
        )
    return tuple(opened)


def _open(
    name: str, residents: Residents, allow_unverified: bool, on_step: Callable[[], None]
) -> Opened:
    on_step()
    started = time.monotonic()
    registrar = residents.registrar(name)
    registrar.check_arc()
    engine = residents.seat(name)
    if engine is None:
        raise RuntimeError("an engine is busy before any job has come")
    puzzles = _known_puzzles(registrar)
    record = _examine(name, engine, registrar, len(puzzles), on_step)
    if record.finding in _REFUSED and not allow_unverified:
        raise AlignmentError(
            f"{record.verdict}. Where that is to be served all the same, set "
            "HRM_ARC_ALLOW_UNVERIFIED=true"
        )
    structlog.get_logger(__name__).info(
        "checkpoint served",
        checkpoint=name,
        verdict=record.verdict,
        device=str(engine.device),
        slots=engine.num_slots,
        seconds=round(time.monotonic() - started, 3),
    )
    return Opened(record, puzzles)


def _examine(
    name: str,
    engine: Engine,
    registrar: Registrar,
    num_puzzles: int,
    on_step: Callable[[], None],
) -> CheckpointRecord:
    """Run the self-test and describe the checkpoint."""
    try:
        examination = examine(engine, registrar, on_step=on_step)
        finding, verdict = examination.finding, examination.verdict
    except AlignmentError as error:
        finding, verdict = Finding.UNTESTED, str(error)
    checkpoint = registrar.checkpoint
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


def _known_puzzles(registrar: Registrar) -> tuple[KnownPuzzle, ...]:
    """List the puzzles that a checkpoint knows by their demonstrations and has rows for."""
    names = (registrar.checkpoint.names or ())[1:]
    num_rows = Counter(map(registrar.dialect.puzzle_of, names))
    known = registrar.index.demonstrations if registrar.index else {}
    return tuple(
        KnownPuzzle(name=name, demonstrations_sha256=demonstrations, variants=num_rows[name])
        for name, demonstrations in known.items()
        if num_rows[name]
    )
