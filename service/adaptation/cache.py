"""Adapted checkpoints kept for the next job of the same puzzle, the latest used ones."""

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
        """Tell of it as workers do; of several puzzles the first."""
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

    Each is used for jobs of its owner only: another's answer would say, by `reused` and by how soon
    it comes, that somebody has sent the same puzzle.
    Who adapts holds the entry's lock, which ends with its process.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._folder, self._max_bytes = folder, max_bytes

    def entries(self) -> tuple[Entry, ...]:
        """List what is there, the latest used first; damaged entries are passed over."""
        found = [
            entry
            for record in self._folder.glob(f"[!.]*/{ADAPTATION_NAME}")
            if (entry := self.entry(record.parent.name)) is not None
        ]
        return tuple(sorted(found, key=lambda entry: entry.used_at, reverse=True))

    def entry(self, entry_id: str) -> Entry | None:
        """Look one up; an id is a name, no path to somewhere else."""
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
        """Find an owner's complete adaptation to a puzzle that such a budget would not improve."""
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
        """Name the entry of an adaptation: the same each time that an owner asks for the same."""
        told = f"{base_sha256} {demonstrations_hash} {num_variants} {seconds} {steps} {owner}"
        return f"{base}-{hashlib.sha256(told.encode()).hexdigest()[:16]}"

    def folder(self, entry_id: str) -> Path:
        """Tell where an entry is, or would be."""
        return self._folder / entry_id

    @contextmanager
    def locked(self, entry_id: str) -> Iterator[bool]:
        """Hold an entry's lock where nobody else does; tell whether it is held."""
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
        """Say that an entry was used just now, and for the first time also that it was made."""
        folder = self.folder(entry_id)
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / _MADE).exists():
            (folder / _MADE).touch()
        (folder / _USED).touch()

    def remove(self, entry_id: str) -> bool:
        """Remove an entry unless it is being adapted; tell whether it is gone."""
        with self.locked(entry_id) as is_held:
            if not is_held:
                return False
            # Renamed first: nobody shall open half of it.
            folder = self.folder(entry_id)
            leaving = self._folder / f".{entry_id}.{time.time_ns()}"
            try:
                folder.rename(leaving)
            except FileNotFoundError:
                return True
            shutil.rmtree(leaving, ignore_errors=True)
            return True

    def evict(self, kept: Collection[str] = ()) -> tuple[str, ...]:
        """Remove the least recently used entries until the rest has room; gives their ids."""
        for leaving in self._folder.glob(".*.*/"):  # a removal was cut short
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
