"""API keys and their owners; only hashes of the keys are kept."""

import hmac
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, Self

# The owner of everything where no keys are configured.
LOCAL_OWNER: Final = "local"


@dataclass(frozen=True, slots=True)
class KeyRing:
    """The keys that callers need, as owners and hashes; an empty ring needs none."""

    keys: tuple[tuple[str, bytes], ...] = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse comma-separated `owner:key` or `key` entries; the owner of a bare key is its hash.

        The key follows the last colon. Empty text gives an empty ring.

        Raises: ValueError for an empty entry, owner or key, with its position but not its text.
        """
        if not text:
            return cls()
        return cls(tuple(_parse_entry(*entry) for entry in enumerate(text.split(","), 1)))

    @property
    def num_owners(self) -> int:
        """The number of different owners."""
        return len({owner for owner, _ in self.keys})

    def owner_of(self, key: str) -> str | None:
        """Return the owner of a key, or None for a key that is not on the ring."""
        given = _digest(key)
        found = None
        for owner, digest in self.keys:  # all: the time taken must not reveal which one matches
            if hmac.compare_digest(digest, given):
                found = owner
        return found


def _parse_entry(position: int, entry: str) -> tuple[str, bytes]:
    owner, colon, key = (part.strip() for part in entry.rpartition(":"))
    if not key or (colon and not owner):
        missing = "key" if not key else "owner"
        raise ValueError(
            f"entry {position} has no {missing}: write owner:key, with commas between entries"
        )
    digest = _digest(key)
    return owner or f"key-{digest.hex()[:8]}", digest


def _digest(key: str) -> bytes:
    return sha256(key.encode("utf-8", "surrogateescape")).digest()
