"""What was asked to be removed of late, by when; for workers to hear of, and lists to leave out."""

from collections.abc import Iterable
from typing import Final

# A worker hears of it within a second; one that is away for longer comes back as another.
REMOVALS_KEPT_S: Final = 3600.0


def removals(entries: Iterable[tuple[bytes, float]]) -> dict[str, float]:
    """Read a sorted set's entries, by id.

    Units: seconds since 1970 by the clock of Redis.
    """
    return {member.decode(): when for member, when in entries}
