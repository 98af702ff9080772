"""The engines of a worker: its checkpoints, of which a few have an engine and others take turns."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from hrm_core import (
    Checkpoint,
    DeviceMemoryError,
    Engine,
    open_checkpoint,
    pick_device,
    release_memory,
)
from service.runtime.folders import state_subfolder
from service.runtime.settings import Settings
from service.solving.engines import make_engine
from service.solving.enrolment import RowIndex
from service.wire.errors import EnrolmentError, UnknownCheckpoint

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
        # Checkpoints that stay open for running jobs only.
        self.retired: frozenset[str] = frozenset()
        self._tested: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The checkpoints served, in the order given."""
        return tuple(self._folders)

    @property
    def engines(self) -> tuple[Engine, ...]:
        """The engines on the device, without the one that is being tested."""
        return tuple(engine for name, engine in self._engines.items() if name != self._tested)

    @property
    def busy(self) -> frozenset[str]:
        """The checkpoints with work in their engines."""
        return frozenset(name for name, engine in self._engines.items() if not engine.is_idle)

    def has_engine(self, name: str) -> bool:
        """Return whether a checkpoint has an engine now."""
        return name in self._engines

    def add(self, name: str, folder: Path) -> None:
        """Add a checkpoint."""
        self._folders[name] = folder

    def withdraw(self, name: str) -> None:
        """Remove a checkpoint; none of its name is known from before."""
        del self._folders[name]
        self._indices.pop(name, None)
        self._hashes.pop(name, None)
        self._release(name)

    @contextmanager
    def testing(self, name: str) -> Iterator[None]:
        """Leave a checkpoint's engine alone while the context lasts: it has work of its own."""
        self._tested = name
        try:
            yield
        finally:
            self._tested = None

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
        needed = self._engines.keys() | self.retired
        spare = [other for other in self._indices if other not in needed]
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
                f"{folder} holds another checkpoint than the one that this worker tested. "
                "Have it loaded with `hrm-arc checkpoints reload`, or put the old one back"
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
        idle = (name for name, engine in self._engines.items() if engine.is_idle)
        name = next((name for name in idle if name != self._tested), None)
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
