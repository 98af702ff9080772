"""What a worker tells about a checkpoint: its record, its self-test's verdict, its puzzles."""

from collections import Counter
from collections.abc import Callable

from hrm_core import Engine
from service.alignment import check_alignment
from service.enrolment import Registrar
from service.errors import AlignmentError
from service.jobs import CheckpointRecord, KnownPuzzle


def examine(
    name: str, engine: Engine, registrar: Registrar, on_step: Callable[[], None]
) -> CheckpointRecord:
    """Run the alignment self-test and describe the checkpoint.

    Raises: EnrolmentError for one that can answer no ARC puzzle; PuzzleIndexError.
    """
    try:
        alignment = check_alignment(engine, registrar, on_step=on_step)
        is_verified, verdict = alignment.is_aligned, alignment.verdict
    except AlignmentError as error:
        is_verified, verdict = False, str(error)
    checkpoint = registrar.checkpoint
    config = checkpoint.config
    return CheckpointRecord(
        name=name,
        sha256=checkpoint.sha256,
        architecture=config.architecture,
        canvas=config.canvas,
        num_parameters=checkpoint.num_parameters,
        num_rows=config.num_rows,
        num_puzzles=len(known_puzzles(registrar)),
        halt_max_steps=config.halt_max_steps,
        verified=is_verified,
        verdict=verdict,
    )


def known_puzzles(registrar: Registrar) -> tuple[KnownPuzzle, ...]:
    """List the puzzles that a checkpoint knows by their demonstrations and has rows for.

    Raises: PuzzleIndexError when the index is damaged.
    """
    names = (registrar.checkpoint.names or ())[1:]
    num_rows = Counter(map(registrar.dialect.puzzle_of, names))
    known = registrar.index.demonstrations if registrar.index else {}
    return tuple(
        KnownPuzzle(name, demonstrations, num_rows[name])
        for name, demonstrations in known.items()
        if num_rows[name]
    )
