"""The cache of adapted checkpoints, for later jobs of the same puzzles."""

import hashlib
import shutil
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from service.adaptation.record import ADAPTATION_NAME, AdaptationRecord, read_adaptation
from service.jobs import AdaptedRecord
from service.wire.errors import AdaptationError

FOLDER_NAME = "adapted"
_USED = ".used"
_MADE = ".made"
_LOCKS = ".locks"


@dataclass(frozen=True, slots=True)
class Entry:
    """An adapted checkpoint on disk, complete or not; `id` is the name of its folder.

    Units: num_bytes on disk; times in seconds since 1970.
    """

    id: str
    folder: Path
    record: AdaptationRecord
    num_bytes: int
    made_at: float
    used_at: float

    def described(self) -> AdaptedRecord:
        """Return the entry as workers report it, with the first of its puzzles."""
        record = self.record
        name, demonstrations = next(iter(record.demonstrations.items()), ("", ""))
        return AdaptedRecord(
            id=self.id,
            owner=record.owner,
            base=record.base or "",
            base_sha256=record.base_sha256 or "",
            puzzle_name=name,
            demonstrations_hash=demonstrations,
            num_variants=record.num_variants,
            num_steps=record.num_steps,
            seconds=record.seconds,
            held_out_share=record.held_out_share,
            num_bytes=self.num_bytes,
            made_at=self.made_at,
            used_at=self.used_at,
            is_complete=record.is_complete,
        )


class AdaptedCache:
    """A folder of adapted checkpoints, which processes of one machine may share.

    An entry serves only jobs of its owner: another caller's answer would reveal, by `reused` and by
    its speed, that someone has sent the same puzzle. A process that adapts holds the entry's lock,
    which ends with the process.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._folder, self._max_bytes = folder, max_bytes

    def entries(self) -> tuple[Entry, ...]:
        """Return all entries, the most recently used first; damaged ones are skipped."""
        found = [
            entry
            for record in self._folder.glob(f"[!.]*/{ADAPTATION_NAME}")
            if (entry := self.entry(record.parent.name)) is not None
        ]
        return tuple(sorted(found, key=lambda entry: entry.used_at, reverse=True))

    def entry(self, entry_id: str) -> Entry | None:
        """Return an entry by its id, which must not lead out of the folder; None where missing."""
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

    def find(
        self,
        owner: str,
        base_sha256: str,
        demonstrations_hash: str,
        num_variants: int,
        seconds: float | None,
        steps: int | None,
    ) -> Entry | None:
        """Find an owner's complete adaptation to a puzzle that the budget would not improve."""
        for entry in self.entries():
            record = entry.record
            if (
                record.is_complete
                and record.owner == owner
                and record.base_sha256 == base_sha256
                and list(record.demonstrations.values()) == [demonstrations_hash]
                and record.num_variants == num_variants
                and record.covers(seconds, steps)
            ):
                return entry
        return None

    def name(
        self,
        base: str,
        owner: str,
        base_sha256: str,
        demonstrations_hash: str,
        num_variants: int,
        seconds: float | None,
        steps: int | None,
    ) -> str:
        """Return the id of an adaptation; the same request of an owner has the same id."""
        key = f"{base_sha256} {demonstrations_hash} {num_variants} {seconds} {steps} {owner}"
        return f"{base}-{hashlib.sha256(key.encode()).hexdigest()[:16]}"

    def folder(self, entry_id: str) -> Path:
        """Return the folder of an entry, present or not."""
        return self._folder / entry_id

    @contextmanager
    def locked(self, entry_id: str) -> Iterator[bool]:
        """Acquire an entry's lock unless it is taken; yield whether it was acquired."""
        lock = self._lock(entry_id)
        try:
            lock.acquire(blocking=False)
        except Timeout:
            yield False
            return
        try:
            yield True
        finally:
            lock.release()

    def touch(self, entry_id: str) -> None:
        """Record that an entry is used now, and the first time also that it is made."""
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
            # Renamed first, so that no process opens half of it.
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
        for leaving in self._folder.glob(".*.*/"):  # an interrupted removal
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

    def _lock(self, entry_id: str) -> FileLock:
        locks = self._folder / _LOCKS
        locks.mkdir(parents=True, exist_ok=True)
        return FileLock(locks / f"{entry_id}.lock")


def _time_of(path: Path) -> float | None:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return None
