"""API keys and their owners, compared by their hashes."""

import hmac
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, Self

# The owner of everything where no keys are configured.
LOCAL_OWNER: Final = "local"


@dataclass(frozen=True, slots=True)
class _Key:
    owner: str
    digest: bytes


@dataclass(frozen=True, slots=True)
class KeyRing:
    """The keys that callers must show, kept as hashes only; without any, no key is needed."""

    keys: tuple[_Key, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `owner:key` and bare `key` entries between commas; a bare one's owner is its hash.

        What stands after the last colon is the key. Empty text is an empty ring.

        Raises: ValueError for an empty entry, owner or key, with its position and not its text.
        """
        if not text:
            return cls()
        return cls(tuple(_parse_entry(*entry) for entry in enumerate(text.split(","), 1)))

    @property
    def num_owners(self) -> int:
        """How many callers can be told apart."""
        return len({key.owner for key in self.keys})

    def owner_of(self, shown: str) -> str | None:
        """Return the owner of a key, or None for a key that is not on the ring."""
        digest = _digest(shown)
        owner = None
        for key in self.keys:  # all of them: the time this takes must not depend on which one fits
            if hmac.compare_digest(key.digest, digest):
                owner = key.owner
        return owner


def _parse_entry(position: int, entry: str) -> _Key:
    owner, colon, key = (part.strip() for part in entry.rpartition(":"))
    if not key or (colon and not owner):
        missing = "key" if not key else "owner"
        raise ValueError(
            f"entry {position} has no {missing}: write owner:key, with commas between entries"
        )
    digest = _digest(key)
    return _Key(owner or f"key-{digest.hex()[:8]}", digest)


def _digest(key: str) -> bytes:
    return sha256(key.encode("utf-8", "surrogateescape")).digest()
