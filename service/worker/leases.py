"""The jobs a worker answers for."""

from threading import Condition

from service.jobs import Claim

# From this attempt on a job runs alone: the crash that ended the others may have been its doing.
ALONE_FROM_ATTEMPT = 3


class Leases:
    """The jobs of a worker, from the claim until their end is written; for all its threads."""

    def __init__(self) -> None:
        self._claims: dict[str, Claim] = {}
        self._changed = Condition()

    def __len__(self) -> int:
        with self._changed:
            return len(self._claims)

    def __contains__(self, job_id: str) -> bool:
        with self._changed:
            return job_id in self._claims

    @property
    def claims(self) -> tuple[Claim, ...]:
        """All of them, the longest held first."""
        with self._changed:
            return tuple(self._claims.values())

    @property
    def num_batch(self) -> int:
        """How many of them are batch jobs."""
        with self._changed:
            return sum(claim.job.priority == "batch" for claim in self._claims.values())

    @property
    def job_ids(self) -> tuple[str, ...]:
        """Their ids."""
        with self._changed:
            return tuple(self._claims)

    @property
    def has_lone(self) -> bool:
        """Whether one of them is to run alone."""
        with self._changed:
            return self._has_lone()

    def num_places(self, most: int) -> int:
        """Tell how many more jobs may be claimed, `most` being held at once; none beside a lone."""
        with self._changed:
            return self._num_places(most)

    def add(self, claim: Claim) -> None:
        """Answer for a job."""
        with self._changed:
            self._claims[claim.job.id] = claim

    def discard(self, job_id: str) -> Claim | None:
        """Answer for a job no longer; gives what was known of it."""
        with self._changed:
            claim = self._claims.pop(job_id, None)
            self._changed.notify_all()
            return claim

    def wait_for_place(self, most: int, timeout_s: float) -> None:
        """Wait until one more job may be claimed."""
        with self._changed:
            self._changed.wait_for(lambda: self._num_places(most) > 0, timeout_s)

    def wait_until_empty(self, timeout_s: float) -> bool:
        """Wait until no job is held; tell whether that is so."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._claims, timeout_s)

    def _has_lone(self) -> bool:
        return any(is_lone(claim) for claim in self._claims.values())

    def _num_places(self, most: int) -> int:
        return 0 if self._has_lone() else max(0, most - len(self._claims))


def is_lone(claim: Claim) -> bool:
    """Tell whether a job is to run with no other beside it."""
    return claim.attempt >= ALONE_FROM_ATTEMPT
