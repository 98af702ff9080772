"""Invitations: how workers of one host find each other to train an adaptation together.

An invitation is a folder that they share. `invitation.json` says what is trained. A worker accepts
with a file of its own, which the inviting one renames to take it; so one that has changed its mind
knows whether it was in time. `group.json` then lists the ranks. The inviting process holds a lock
in the folder, which ends with it.
"""

import json
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout
from pydantic import TypeAdapter

from augment.json_files import write_atomically
from service.worker.training_device import AdaptationPlan

_INVITATION = "invitation.json"
_GROUP = "group.json"
_STORE = "store"
_LOCK = "lock"
_ACCEPTED = ".accepted"
_TAKEN = ".taken"


@dataclass(frozen=True, slots=True)
class Invitation:
    """An invitation to workers of a host with devices of a kind."""

    host: str
    device_kind: str
    plan: AdaptationPlan


_INVITATIONS = TypeAdapter(Invitation)


class PostedInvitation:
    """An invitation, as the worker that has posted it handles it."""

    def __init__(self, board: Path, invitation: Invitation) -> None:
        """Post an invitation on a board, a folder.

        Raises: OSError.
        """
        self.folder = board / secrets.token_hex(8)
        self.folder.mkdir(parents=True)
        self._lock = FileLock(self.folder / _LOCK)
        self._lock.acquire(blocking=False)
        write_atomically(
            self.folder / _INVITATION, [_INVITATIONS.dump_json(invitation).decode("utf-8")]
        )

    @property
    def num_accepted(self) -> int:
        """The number of workers that would come."""
        return len(list(self.folder.glob(f"*{_ACCEPTED}")))

    def take(self, num: int) -> tuple[str, ...]:
        """Take so many workers at the most, which then come; return their ids."""
        taken: list[str] = []
        for path in sorted(self.folder.glob(f"*{_ACCEPTED}")):
            if len(taken) < num:
                with suppress(FileNotFoundError):  # it has changed its mind
                    path.rename(path.with_suffix(_TAKEN))
                    taken.append(path.stem)
        return tuple(taken)

    def form(self, members: Sequence[str]) -> Path:
        """Publish the members, which become ranks from 1 on; return the file where they meet.

        Raises: OSError.
        """
        write_atomically(self.folder / _GROUP, [json.dumps(list(members))])
        (self.folder / _INVITATION).unlink(missing_ok=True)
        return self.folder / _STORE

    def withdraw(self) -> None:
        """Remove the invitation and what belongs to its group."""
        remove(self.folder)
        self._lock.release()


@dataclass(frozen=True, slots=True)
class Place:
    """A rank in a group, and the file where its ranks meet."""

    rank: int
    size: int
    store: Path


class Acceptance:
    """An invitation that this worker has accepted."""

    def __init__(self, folder: Path, invitation: Invitation, worker_id: str) -> None:
        """Accept; the id has no characters that a file name cannot have.

        Raises: OSError where the invitation is gone.
        """
        self.folder, self.plan = folder, invitation.plan
        self._id = worker_id
        (folder / f"{worker_id}{_ACCEPTED}").touch()

    @property
    def is_open(self) -> bool:
        """Whether this worker may be needed still."""
        names = (f"{self._id}{_ACCEPTED}", f"{self._id}{_TAKEN}")
        if not any((self.folder / name).exists() for name in names) or is_abandoned(self.folder):
            return False
        return not (self.folder / _GROUP).exists() or self.place() is not None

    def place(self) -> Place | None:
        """Return this worker's place in the group; None where there is none, or none yet."""
        try:
            members = json.loads((self.folder / _GROUP).read_text(encoding="utf-8"))
            rank = members.index(self._id) + 1
        except (OSError, ValueError):
            return None
        return Place(rank, len(members) + 1, self.folder / _STORE)

    def withdraw(self) -> bool:
        """Take the acceptance back; return whether that was in time."""
        with suppress(FileNotFoundError):
            (self.folder / f"{self._id}{_ACCEPTED}").unlink()
            return True
        return not self.is_open


def standing(board: Path) -> Iterator[tuple[Path, Invitation]]:
    """Yield the invitations on a board with their folders; those that cannot be read are left out.

    Another version of this program may have written them.
    """
    for path in sorted(board.glob(f"*/{_INVITATION}")):
        with suppress(OSError, ValueError):
            yield path.parent, _INVITATIONS.validate_json(path.read_bytes())


def is_abandoned(folder: Path) -> bool:
    """Return whether the process that has posted an invitation, or leads its group, has ended."""
    lock = FileLock(folder / _LOCK)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return False
    except OSError:  # withdrawn
        return True
    lock.release()
    return True


def remove(folder: Path) -> None:
    """Remove the folder of an invitation, if it is there."""
    # Renamed first: nobody accepts what is half removed.
    leaving = folder.with_name(f".{folder.name}")
    with suppress(OSError):
        folder.rename(leaving)
    shutil.rmtree(leaving, ignore_errors=True)
