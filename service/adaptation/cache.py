"""The cache of adapted checkpoints: found by content, evicted by use, locked across processes."""

import hashlib
import shutil
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from filelock import FileLock, Timeout

from service.jobs import AdaptedRecord
from service.solving.records import ADAPTATION_NAME, AdaptationRecord, Budget, read_adaptation
from service.wire.errors import AdaptationError

_USED = ".used"
_MADE = ".made"
_LOCKS = ".locks"

# A listing reads a file or two of each entry, and workers publish theirs every second.
RECORDS_MAX_AGE_S = 5.0
MAX_RECORDS = 256


@dataclass(frozen=True, slots=True)
class AdaptationKey:
    """What an adaptation is made for: two of one key are interchangeable.

    The budget is that of a single puzzle, also where it was adapted to together with others.

    Units: `seconds` and `steps` of training, None where they set no limit.
    """

    owner: str
    base_sha256: str
    demonstrations_hash: str
    num_variants: int
    seconds: float | None
    steps: int | None

    @property
    def shared(self) -> "AdaptationKey":
        """The part of the key that puzzles have in common which may be adapted to together."""
        return replace(self, demonstrations_hash="")

    def entry_id(self, base_name: str, demonstrations: Collection[str] = ()) -> str:
        """Return the id of the key's cache entry, or of one for these demonstrations together."""
        of_puzzles = " ".join(sorted(demonstrations)) or self.demonstrations_hash
        content = (
            f"{self.base_sha256} {of_puzzles} {self.num_variants} {self.seconds} "
            f"{self.steps} {self.owner}"
        )
        return f"{base_name}-{hashlib.sha256(content.encode()).hexdigest()[:16]}"

    def is_met_by(self, record: AdaptationRecord) -> bool:
        """Return whether the key's budget would not improve a complete adaptation."""
        is_enough = record.complete and record.covers(self.seconds, self.steps)
        return is_enough and self._is_of(record)

    def is_begun_by(self, record: AdaptationRecord) -> bool:
        """Return whether an adaptation that is not complete was begun for the key."""
        budget = Budget(seconds=self.seconds, steps=self.steps)
        return not record.complete and record.asked == budget and self._is_of(record)

    def _is_of(self, record: AdaptationRecord) -> bool:
        return (
            record.owner == self.owner
            and record.base_sha256 == self.base_sha256
            and self.demonstrations_hash in record.puzzles.values()
            and record.variants == self.num_variants
        )


@dataclass(frozen=True, slots=True)
class Entry:
    """An adapted checkpoint on disk, complete or not. `id` is its folder's name.

    Units: num_bytes on disk; times in seconds since 1970.
    """

    id: str
    folder: Path
    record: AdaptationRecord
    num_bytes: int
    made_at: float
    used_at: float

    def described(self) -> AdaptedRecord:
        """Return the record that workers publish; of several puzzles it names the first."""
        record = self.record
        name, demonstrations = next(iter(record.puzzles.items()), ("", ""))
        return AdaptedRecord(
            **dict(record)
            | {
                "id": self.id,
                "base": record.base or "",
                "base_sha256": record.base_sha256 or "",
                "puzzle": name,
                "puzzles": len(record.puzzles),
                "demonstrations_sha256": demonstrations,
                "bytes": self.num_bytes,
                "made_at": self.made_at,
                "used_at": self.used_at,
            }
        )


class AdaptedCache:
    """A folder of adapted checkpoints, which the processes of one machine may share.

    An entry is used for jobs of its owner only: in another owner's answer, `reused` and the short
    wait would reveal that somebody has sent the same puzzle. A process that adapts holds the lock
    of the entry; the lock is released when the process ends.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._folder, self._max_bytes = folder, max_bytes
        self._records: tuple[AdaptedRecord, ...] = ()
        self._records_read_at = -RECORDS_MAX_AGE_S

    def entries(self) -> tuple[Entry, ...]:
        """Return all entries, the most recently used first; damaged ones are skipped."""
        found = [
            entry
            for record in self._folder.glob(f"[!.]*/{ADAPTATION_NAME}")
            if (entry := self.entry(record.parent.name)) is not None
        ]
        return tuple(sorted(found, key=lambda entry: entry.used_at, reverse=True))

    def records(self) -> tuple[AdaptedRecord, ...]:
        """Return the records of the entries used last, at most a few seconds old.

        For one thread only.
        """
        now = time.monotonic()
        if now - self._records_read_at >= RECORDS_MAX_AGE_S:
            self._records_read_at = now
            self._records = tuple(entry.described() for entry in self.entries()[:MAX_RECORDS])
        return self._records

    def entry(self, entry_id: str) -> Entry | None:
        """Return an entry; None where there is none, or where the id is not a plain name."""
        if entry_id.startswith(".") or Path(entry_id).name != entry_id:
            return None
        folder = self.folder(entry_id)
        try:
            record = read_adaptation(folder)
            if record is None:
                return None
            used_at = _time_of(folder / _USED) or (folder / ADAPTATION_NAME).stat().st_mtime
            return Entry(
                id=entry_id,
                folder=folder,
                record=record,
                num_bytes=sum(path.stat().st_size for path in folder.iterdir() if path.is_file()),
                made_at=_time_of(folder / _MADE) or used_at,
                used_at=used_at,
            )
        except (OSError, AdaptationError):
            return None  # removed meanwhile, or damaged

    def find(self, key: AdaptationKey) -> Entry | None:
        """Return the most recently used entry that meets a key, or None."""
        return next((entry for entry in self.entries() if key.is_met_by(entry.record)), None)

    def find_begun(self, key: AdaptationKey) -> tuple[Entry, ...]:
        """Return the incomplete entries begun for a key, the most recently used first."""
        return tuple(entry for entry in self.entries() if key.is_begun_by(entry.record))

    def folder(self, entry_id: str) -> Path:
        """Return the folder of an entry, which may not exist."""
        return self._folder / entry_id

    @contextmanager
    def locked(self, entry_id: str) -> Iterator[bool]:
        """Try to take the lock of an entry without waiting; yield whether it is held."""
        locks = self._folder / _LOCKS
        locks.mkdir(parents=True, exist_ok=True)
        lock = FileLock(locks / f"{entry_id}.lock")
        with suppress(Timeout):
            lock.acquire(blocking=False)
        try:
            yield lock.is_locked
        finally:
            lock.release()

    def touch(self, entry_id: str) -> None:
        """Set the time of last use, and on first use also the time of creation."""
        folder = self.folder(entry_id)
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / _MADE).exists():
            (folder / _MADE).touch()
        (folder / _USED).touch()

    def remove(self, entry_id: str) -> bool:
        """Remove an entry unless it is being adapted; return whether it is gone."""
        with self.locked(entry_id) as is_held:
            if not is_held:
                return False
            # Renamed first, so that no reader opens an entry that is half removed.
            folder = self.folder(entry_id)
            leaving = self._folder / f".{entry_id}.{time.time_ns()}"
            try:
                folder.rename(leaving)
            except FileNotFoundError:
                return True
            shutil.rmtree(leaving, ignore_errors=True)
            return True

    def evict(self, kept: Collection[str] = ()) -> tuple[str, ...]:
        """Remove the least recently used entries until the rest fits; return their ids."""
        for leaving in self._folder.glob(".*.*/"):  # a removal that was interrupted
            shutil.rmtree(leaving, ignore_errors=True)
        entries = self.entries()
        num_bytes = sum(entry.num_bytes for entry in entries)
        removed = []
        for entry in reversed(entries):
            if num_bytes <= self._max_bytes:
                break
            if entry.id not in kept and self.remove(entry.id):
                removed.append(entry.id)
                num_bytes -= entry.num_bytes
        return tuple(removed)


def _time_of(path: Path) -> float | None:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return None
