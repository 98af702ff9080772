"""Who is calling: API keys, compared by their hashes."""

import hmac
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, Self

from starlette.datastructures import Headers

from service.api.problems import Problem, Refused

LOCAL_OWNER: Final = "local"


@dataclass(frozen=True, slots=True)
class _Key:
    owner: str
    digest: bytes


@dataclass(frozen=True, slots=True)
class KeyRing:
    """The keys that open the service, kept as hashes only; without any, everybody is `local`."""

    keys: tuple[_Key, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `owner:key` and bare `key` entries between commas; a bare one's owner is its hash.

        What stands after the last colon is the key.
        """
        keys = []
        for entry in filter(None, map(str.strip, text.split(","))):
            owner, _, key = entry.rpartition(":")
            digest = _digest(key)
            keys.append(_Key(owner.strip() or f"key-{digest.hex()[:8]}", digest))
        return cls(tuple(keys))

    @property
    def num_owners(self) -> int:
        """How many callers can be told apart."""
        return len({key.owner for key in self.keys})

    def owner_of(self, headers: Headers) -> str:
        """Tell whose request this is.

        Raises: Refused where a key is needed and none that fits is shown.
        """
        if not self.keys:
            return LOCAL_OWNER
        shown = _shown_key(headers)
        if shown is None:
            raise _refusal("send an API key, as `Authorization: Bearer KEY`")
        digest = _digest(shown)
        owner = None
        for key in self.keys:  # all of them: how long this takes must not tell which one fits
            if hmac.compare_digest(key.digest, digest):
                owner = key.owner
        if owner is None:
            raise _refusal("this API key opens nothing here: check it, it may have been replaced")
        return owner


def _shown_key(headers: Headers) -> str | None:
    scheme, _, credentials = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and credentials.strip():
        return credentials.strip()
    return headers.get("x-api-key")


def _digest(key: str) -> bytes:
    return sha256(key.encode("utf-8", "surrogateescape")).digest()


def _refusal(detail: str) -> Refused:
    return Refused(
        Problem("unauthorized", detail, headers={"WWW-Authenticate": 'Bearer realm="hrm-arc"'})
    )
