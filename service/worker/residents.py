"""Which checkpoints are served, and which of them have an engine on the device now."""

from collections.abc import Callable, Mapping
from pathlib import Path

from hrm_core import Checkpoint, DeviceMemoryError, Engine, open_checkpoint, release_memory
from service.solving.enrolment import Registrar
from service.wire.errors import EnrolmentError, UnknownCheckpoint

MakeEngine = Callable[[Checkpoint], Engine]

# Opened checkpoints kept beyond the resident ones: a list of names may take a hundred megabytes.
NUM_SPARE_REGISTRARS = 2


class Residents:
    """The checkpoints of a worker by name; a few of them have an engine, the others take turns.

    The least recently used engine leaves for another checkpoint's once it is idle. One that never
    is idle takes no new work while another checkpoint waits for its place.
    """

    def __init__(
        self, folders: Mapping[str, Path], make_engine: MakeEngine, max_resident: int
    ) -> None:
        self._folders = dict(folders)
        self._make_engine = make_engine
        self._max_resident = max_resident
        # Both in order of use, the least recent first.
        self._engines: dict[str, Engine] = {}
        self._registrars: dict[str, Registrar] = {}
        self._identities: dict[str, str] = {}
        self._adapted: dict[str, Path] = {}
        self._leaving: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The checkpoints served, in the order given."""
        return tuple(self._folders)

    @property
    def engines(self) -> tuple[Engine, ...]:
        """The engines on the device."""
        return tuple(self._engines.values())

    def forget(self, name: str) -> None:
        """Serve a checkpoint no longer."""
        del self._folders[name]
        self._registrars.pop(name, None)
        self._dismiss(name)

    @property
    def busy(self) -> frozenset[str]:
        """The checkpoints whose engines have work."""
        return frozenset(name for name, engine in self._engines.items() if not engine.is_idle)

    def admit(self, name: str, folder: Path) -> None:
        """Let jobs use an adapted checkpoint, which is not among those served by name."""
        self._adapted[name] = folder

    def expel(self, name: str) -> None:
        """Forget an adapted checkpoint; a busy engine of it ends its work first."""
        self._adapted.pop(name, None)
        self._registrars.pop(name, None)
        if name not in self.busy:
            self._dismiss(name)

    def is_resident(self, name: str) -> bool:
        """Whether a checkpoint has an engine now."""
        return name in self._engines

    def registrar(self, name: str) -> Registrar:
        """Give the registrar of a checkpoint, opening its folder where it is not open.

        Raises: UnknownCheckpoint; CheckpointError; EnrolmentError for a folder that has changed.
        """
        if name not in self._folders and name not in self._adapted:
            served = ", ".join(self._folders)
            raise UnknownCheckpoint(f"no checkpoint {name!r} is served here. Served are {served}")
        registrar = self._registrars.pop(name, None) or self._open(name)
        self._registrars[name] = registrar
        self._close_spare_registrars()
        return registrar

    def seat(self, name: str) -> Engine | None:
        """Give the engine of a checkpoint, making it where there is room; None: ask again later.

        Raises: HRMCoreError when the engine cannot be made; as `registrar`.
        """
        if name in self._engines and not self._must_leave(name):
            self._engines[name] = engine = self._engines.pop(name)
            return engine
        if name in self._engines or not self._make_room():
            return None
        self._engines[name] = engine = self._make(self.registrar(name).checkpoint)
        return engine

    def dismiss(self, engine: Engine) -> None:
        """Let an engine go that cannot work on; the next job of its checkpoint gets another."""
        for name in [name for name, one in self._engines.items() if one is engine]:
            self._dismiss(name)

    def _must_leave(self, name: str) -> bool:
        """Whether an engine is busy and its place promised to another checkpoint.

        Jobs ask in the order they came, so when it is idle and asked for again, whoever its place
        was promised to has gone.
        """
        if name == self._leaving and self._engines[name].is_idle:
            self._leaving = None
        return name == self._leaving

    def _make_room(self) -> bool:
        if len(self._engines) < self._max_resident:
            return True
        if self._dismiss_idle():
            return True
        self._leaving = self._leaving or next(iter(self._engines))
        return False

    def _dismiss_idle(self) -> bool:
        """Let the least recently used of the idle engines go, if any is idle."""
        name = next((name for name, engine in self._engines.items() if engine.is_idle), None)
        if name is None:
            return False
        self._dismiss(name)
        return True

    def _dismiss(self, name: str) -> None:
        engine = self._engines.pop(name, None)
        if engine is not None:
            self._leaving = None
            device = engine.device
            del engine  # its memory is free only when nothing names it
            release_memory(device)

    def _make(self, checkpoint: Checkpoint) -> Engine:
        while True:
            try:
                return self._make_engine(checkpoint)
            except DeviceMemoryError:
                # The memory may hold fewer engines than the setting says.
                if not self._dismiss_idle():
                    raise

    def _open(self, name: str) -> Registrar:
        folder = self._adapted[name] if name in self._adapted else self._folders[name]
        try:
            checkpoint = open_checkpoint(folder)
        except OSError as error:
            raise EnrolmentError(
                f"{folder} cannot be read ({error.strerror}): put the folder back"
            ) from error
        known = self._identities.setdefault(name, checkpoint.sha256)
        # An adapted one may have been removed and made anew; it is another one then, and as good.
        if checkpoint.sha256 != known and name not in self._adapted:
            raise EnrolmentError(
                f"{folder} holds another checkpoint than when this worker started and tested it. "
                "Restart the worker, or put the old one back"
            )
        return Registrar(checkpoint)

    def _close_spare_registrars(self) -> None:
        spare = [name for name in self._registrars if name not in self._engines]
        for name in spare[:-NUM_SPARE_REGISTRARS]:
            del self._registrars[name]
