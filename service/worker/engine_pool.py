"""The engines of a worker: which checkpoints are served, tested first, and which have an engine."""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import structlog

from augment import AugmentError
from hrm_core import (
    Checkpoint,
    DeviceMemoryError,
    Engine,
    HRMCoreError,
    open_checkpoint,
    pick_device,
    release_memory,
)
from service.jobs import CheckpointRecord, KnownPuzzle
from service.runtime.folders import state_subfolder
from service.runtime.settings import Settings
from service.solving.engines import make_engine
from service.solving.enrolment import RowIndex
from service.solving.examination import examine
from service.wire.checkpoint import Finding
from service.wire.errors import (
    AlignmentError,
    EnrolmentError,
    InputError,
    SettingsError,
    UnknownCheckpoint,
)

MakeEngine = Callable[[Checkpoint], Engine]

# Opened checkpoints kept beyond those with an engine: a list of names may take a hundred megabytes.
NUM_SPARE = 2

# The most samples on the device at once; on CUDA the engine measures how many are worth it. A step
# takes as long as it has slots, taken or not, and every answer waits for whole steps; variants that
# are not seated yet when the vote is decided never run at all; and the engines of several
# checkpoints must fit beside each other.
MAX_SLOTS = {"cuda": 256, "cpu": 64}


def engine_maker(settings: Settings, say: Callable[[str], None]) -> MakeEngine:
    """Return a maker of engines by a worker's settings; `say` gets what was not possible."""
    return partial(
        make_engine,
        options=settings.engine_options,
        say=say,
        max_slots=MAX_SLOTS[pick_device(settings.device).type],
        tuned_folder=state_subfolder("tuned", settings.state_folder),
    )


class EnginePool:
    """The checkpoints of a worker by name; a few have an engine, and the others take turns.

    The least recently used engine is released for another checkpoint once it is idle. An engine
    that is never idle takes no new work while another checkpoint waits for its room.
    """

    def __init__(
        self, folders: Mapping[str, Path], make_engine: MakeEngine, max_resident: int
    ) -> None:
        self._folders = dict(folders)
        self._make_engine = make_engine
        self._max_resident = max_resident
        # Both in order of use, the least recent first.
        self._engines: dict[str, Engine] = {}
        self._indices: dict[str, RowIndex] = {}
        self._hashes: dict[str, str] = {}
        self._adapted: dict[str, Path] = {}
        # The checkpoint with an engine that takes no new work, so that it becomes idle.
        self._leaving: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The checkpoints served, in the order given."""
        return tuple(self._folders)

    @property
    def engines(self) -> tuple[Engine, ...]:
        """The engines on the device."""
        return tuple(self._engines.values())

    @property
    def busy(self) -> frozenset[str]:
        """The checkpoints with work in their engines."""
        return frozenset(name for name, engine in self._engines.items() if not engine.is_idle)

    def has_engine(self, name: str) -> bool:
        """Return whether a checkpoint has an engine now."""
        return name in self._engines

    def withdraw(self, name: str) -> None:
        """Serve a checkpoint no longer."""
        del self._folders[name]
        self._indices.pop(name, None)
        self._release(name)

    def add_adapted(self, entry_id: str, folder: Path) -> RowIndex:
        """Add an adapted checkpoint, which callers cannot name; return its rows.

        Raises: CheckpointError; EnrolmentError for a folder that cannot be read.
        """
        self._adapted[entry_id] = folder
        return self._index(entry_id)

    def remove_adapted(self, entry_id: str) -> None:
        """Remove an adapted checkpoint; an engine of it that is busy ends its work first."""
        self._adapted.pop(entry_id, None)
        self._indices.pop(entry_id, None)
        if entry_id not in self.busy:
            self._release(entry_id)

    def row_index(self, name: str) -> RowIndex:
        """Return the rows of a checkpoint that is served, opening its folder where it is not open.

        Raises: UnknownCheckpoint; CheckpointError; EnrolmentError for a folder that has changed.
        """
        if name not in self._folders:
            served = ", ".join(self._folders)
            raise UnknownCheckpoint(f"no checkpoint {name!r} is served here. Served are {served}")
        return self._index(name)

    def acquire(self, name: str) -> Engine | None:
        """Return the engine of a checkpoint, making it where there is room; None: ask again later.

        Raises: HRMCoreError when the engine cannot be made; otherwise as `row_index`.
        """
        if name in self._engines and not self._must_leave(name):
            self._engines[name] = engine = self._engines.pop(name)
            return engine
        if name in self._engines or not self._make_room():
            return None
        index = self._index(name) if name in self._adapted else self.row_index(name)
        self._engines[name] = engine = self._make(index.checkpoint)
        return engine

    def discard(self, engine: Engine) -> None:
        """Release an engine that cannot work any more; its checkpoint's next job gets another."""
        for name in [name for name, one in self._engines.items() if one is engine]:
            self._release(name)

    def _index(self, name: str) -> RowIndex:
        index = self._indices.pop(name, None) or self._open(name)
        self._indices[name] = index
        spare = [other for other in self._indices if other not in self._engines]
        for other in spare[:-NUM_SPARE]:
            del self._indices[other]
        return index

    def _open(self, name: str) -> RowIndex:
        folder = self._adapted[name] if name in self._adapted else self._folders[name]
        try:
            checkpoint = open_checkpoint(folder)
        except OSError as error:
            raise EnrolmentError(
                f"{folder} cannot be read ({error.strerror}): put the folder back"
            ) from error
        known = self._hashes.setdefault(name, checkpoint.sha256)
        # An adapted one may have been removed and made again: another checkpoint, but as good.
        if checkpoint.sha256 != known and name not in self._adapted:
            raise EnrolmentError(
                f"{folder} holds another checkpoint than when this worker started and tested it. "
                "Restart the worker, or put the old one back"
            )
        return RowIndex(checkpoint)

    def _must_leave(self, name: str) -> bool:
        """Return whether an engine is busy, and its room is promised to another checkpoint.

        Jobs ask in the order of their arrival. So an idle engine that is asked for again shows that
        the job which its room was promised to is gone.
        """
        if name == self._leaving and self._engines[name].is_idle:
            self._leaving = None
        return name == self._leaving

    def _make_room(self) -> bool:
        if len(self._engines) < self._max_resident or self._release_idle():
            return True
        self._leaving = self._leaving or next(iter(self._engines))
        return False

    def _release_idle(self) -> bool:
        """Release the least recently used of the idle engines, if any is idle."""
        name = next((name for name, engine in self._engines.items() if engine.is_idle), None)
        if name is not None:
            self._release(name)
        return name is not None

    def _release(self, name: str) -> None:
        engine = self._engines.pop(name, None)
        if engine is not None:
            self._leaving = None
            device = engine.device
            del engine  # its memory is free only when nothing refers to it
            release_memory(device)

    def _make(self, checkpoint: Checkpoint) -> Engine:
        while True:
            try:
                return self._make_engine(checkpoint)
            except DeviceMemoryError:
                # The memory may hold fewer engines than the setting says.
                if not self._release_idle():
                    raise


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
    if row_index.kind.has_own_rows:
        row_index.check_arc()
    engine = pool.acquire(name)
    if engine is None:
        raise RuntimeError("an engine is busy before the first job")
    puzzles = _known_puzzles(row_index)
    if row_index.kind.rules is not None:
        finding, verdict = Finding.CHECKED, "each answer is checked by the rules"
    else:
        try:
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
