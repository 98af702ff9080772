"""The checkpoints that a worker serves: opened at the start, and changed when it is to reload."""

from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import structlog

from service.jobs import CheckpointRecord
from service.wire.errors import SettingsError, UnknownCheckpoint
from service.worker.engine_pool import EnginePool
from service.worker.job_table import CheckpointChooser
from service.worker.opening import OPENING_ERRORS, ServedCheckpoint, open_served

FindFolders = Callable[[], Mapping[str, Path]]
# Of each file in a folder: what changes when it is written or replaced.
Contents = frozenset[tuple[str, int, int, int]]
# Under this name a reason is given that concerns no single checkpoint.
ALL_CHECKPOINTS = "HRM_ARC_CHECKPOINTS"


class ServedSet:
    """The checkpoints of a pool that are served, and those that are still to be opened.

    A checkpoint that was taken away stays in the pool while jobs run on it. One in the place of
    another of its name is opened when no job runs on the other any more; jobs that come for it wait
    until then.

    Dictionaries in `served` and `refused` are replaced, not changed: other threads read them.
    """

    def __init__(
        self,
        pool: EnginePool,
        find_folders: FindFolders,
        *,
        default_checkpoint: str | None,
        allow_unverified: bool,
        adapts: bool,
    ) -> None:
        self.served: dict[str, ServedCheckpoint] = {}
        # Checkpoints that cannot be served, by name, with the reason.
        self.refused: dict[str, str] = {}
        # Those to be opened, in the order given.
        self.pending: dict[str, Path] = {}
        self.chooser: CheckpointChooser
        # The newest request to reload that was followed, in seconds since 1970.
        self.reloaded_at = 0.0
        self._pool = pool
        self._find_folders = find_folders
        self._default_checkpoint, self._adapts = default_checkpoint, adapts
        self._allow_unverified = allow_unverified
        self._contents: dict[str, Contents] = {}
        self._order: tuple[str, ...] = ()
        # Of checkpoints that are served no longer, for the answers of jobs that run on them.
        self._former: dict[str, ServedCheckpoint] = {}
        # Requests to reload: the newest that is still to be looked at, and the one being followed.
        self._asked_at: float | None = None
        self._following: float | None = None
        self._log: Any = structlog.get_logger(__name__)

    @property
    def num_verified(self) -> int:
        """The number of checkpoints with rows that are known to belong to their names."""
        return sum(one.record.finding.is_verified for one in self.served.values())

    @property
    def records(self) -> Mapping[str, CheckpointRecord]:
        """The checkpoints that jobs may run on, by name, also those served no longer."""
        return {name: one.record for name, one in (self._former | self.served).items()}

    def open_all(self, on_step: Callable[[], None]) -> None:
        """Open every checkpoint in the folders; `on_step` as in `open_served`.

        Raises: SettingsError where none can be served.
        """
        self.pending = dict(self._find_folders())
        self._order = tuple(self.pending)
        for name in tuple(self.pending):
            self._open(name, on_step)
        if not self.served:
            raise SettingsError(
                "HRM_ARC_CHECKPOINTS: none of the checkpoints can be served; the log says why for "
                "each. Repair them, or set HRM_ARC_ALLOW_UNVERIFIED=true to serve those that only "
                "fail the self-test"
            )

    @property
    def is_reloading(self) -> bool:
        """Whether a request to reload was not followed yet."""
        return self._asked_at is not None or self._following is not None

    def ask(self, requested_at: float) -> None:
        """Ask for the folders to be looked at again; `advance` does it.

        Units: seconds since 1970.
        """
        self._asked_at = max(requested_at, self._asked_at or 0.0)

    def advance(self, used: Collection[str], on_step: Callable[[], None]) -> None:
        """Follow a request to reload, and open one checkpoint at the most.

        Those named in `used` have running jobs; `on_step` as in `open_served`.
        """
        if self._asked_at is not None:
            self._following, self._asked_at = max(self._asked_at, self._following or 0.0), None
            self._compare()
        self._drop_unused(used)
        if self._following is None:
            return
        name = self._next_to_open(used)
        if name is not None:
            self._open(name, on_step)
        if not self.pending:
            self.reloaded_at, self._following = max(self._following, self.reloaded_at), None

    def _compare(self) -> None:
        """Look at the folders again: drop what is gone, and let what is new or changed be opened.

        Where the folders cannot be used, everything stays as it is.
        """
        try:
            found = self._find_folders()
        except SettingsError as error:
            self._log.error("checkpoints not reloaded", reason=str(error))
            self.refused = self.refused | {ALL_CHECKPOINTS: str(error)}
            return
        for name in (name for name in self.served if name not in found):
            self._log.info("checkpoint dropped", checkpoint=name)
        self._order = tuple(found)
        self.pending = {
            name: folder
            for name, folder in found.items()
            if name not in self.served or self._contents.get(name) != _contents_of(folder)
        }
        self.refused = {}
        self._keep_former(
            name for name in self._former | self.served if name not in found or name in self.pending
        )
        self._set({name: one for name, one in self.served.items() if name in found})

    def _drop_unused(self, used: Collection[str]) -> None:
        """Remove the checkpoints that are served no longer and that no job uses."""
        unused = [name for name in self._former if name not in used and name not in self.pending]
        for name in unused:
            self._remove_former(name)

    def _next_to_open(self, used: Collection[str]) -> str | None:
        """Return a checkpoint that can be opened while jobs use these; None where there is none."""
        ready = (name for name in self.pending if name not in self._former or name not in used)
        return next(ready, None)

    def _open(self, name: str, on_step: Callable[[], None]) -> None:
        """Open a checkpoint that is pending; the log says why where it cannot be served."""
        folder = self.pending[name]
        if name in self._former:
            self._remove_former(name)
        self._contents[name] = _contents_of(folder)
        self._pool.add(name, folder)
        others = {other: one for other, one in self.served.items() if other != name}
        try:
            opened = open_served(
                name, self._pool, allow_unverified=self._allow_unverified, on_step=on_step
            )
        except OPENING_ERRORS as error:
            self._log.error("checkpoint not served", checkpoint=name, reason=str(error))
            self._pool.withdraw(name)
            self.refused = self.refused | {name: str(error)}
            self._set(others)
        else:
            self._set(others | {name: opened})
        del self.pending[name]

    def check(self, names: Collection[str]) -> bool:
        """Return whether a new job can use checkpoints of these names now; False: later.

        Raises: UnknownCheckpoint for one that is served no longer.
        """
        for name in names:
            if name in self._former and name not in self.pending:
                raise UnknownCheckpoint(f"checkpoint {name!r} is served no longer")
        return not any(name in self.pending for name in names)

    def _keep_former(self, names: Iterable[str]) -> None:
        answering = self._former | self.served
        self._former = {name: answering[name] for name in names}
        self._pool.retired = frozenset(self._former)

    def _remove_former(self, name: str) -> None:
        self._pool.withdraw(name)
        self._keep_former([other for other in self._former if other != name])

    def _set(self, served: dict[str, ServedCheckpoint]) -> None:
        # In the order of the folders, since the first may be the default one.
        self.served = {name: served[name] for name in self._order if name in served}
        self.chooser = CheckpointChooser(
            self.served.values(), self._default_checkpoint, adapts=self._adapts
        )


def _contents_of(folder: Path) -> Contents:
    """Return what identifies the files in a folder; nothing for one that cannot be read."""
    try:
        found = [(path.name, path.stat()) for path in folder.iterdir()]
    except OSError:
        return frozenset()
    return frozenset((name, one.st_ino, one.st_size, one.st_mtime_ns) for name, one in found)
