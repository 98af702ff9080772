"""The shards of divided jobs as a worker sees them: divide, count, settle.

A large job is divided by the worker that has claimed and enrolled it. From then on no worker holds
the job; it runs as long as it has shards, each with a lease and attempts like a job's. So there is
always an entry in a stream that goes on with it, whichever worker dies when:

    running --split--> shards 1 to N wait, run and are counted --close--> closing --succeed--> ended

Before `split` a dead worker's job is taken over whole. A shard of a dead worker is taken over by
another, and its votes are added in the script that removes it, so once. The script that counts the
last shard, or `settle` once the vote is decided, removes the shards that are left and queues the
closing; the worker that claims it makes the answer of the votes. A worker that dies between its
count and `settle` leaves the decision to the next shard. A shard or a closing that fails or uses up
its attempts ends the job with that reason. When a job ends, also as cancelled or overdue, its
shards and votes are removed by the same script, so that an operator can queue it again as new. A
job of a checkpoint that no worker is ready with any more waits again, whole (`sweep`), so that it
fails, or is answered by another checkpoint, as one that was not divided yet.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from service.jobs.record import Shard, pairs, votes_of


class Shards:
    """Divided jobs in Redis; `run` runs a script.

    Raises, everywhere: QueueUnavailable while Redis is away.
    """

    def __init__(self, run: Callable[..., Any], worker_id: str, result_ttl_s: int) -> None:
        self._run = run
        self._worker_id, self._result_ttl_s = worker_id, result_ttl_s

    def split(
        self,
        job_id: str,
        checkpoint_sha256: str,
        parts: Iterable[range],
        num_variants: int,
        progress: bytes,
    ) -> bool:
        """Divide a job by its variants; False when it is no longer this worker's.

        Either way this worker no longer holds it. `progress` is a JSON document that begins with
        the number of `outcomes`.
        """
        ranges = [f"{part.start} {part.stop}" for part in parts]
        arguments = (checkpoint_sha256, num_variants, progress, self._result_ttl_s, *ranges)
        return bool(self._run("split", self._worker_id, job_id, *arguments))

    def count(self, shard_id: str, shard: Shard, votes: Mapping[str, int]) -> dict[str, int]:
        """Add a shard's votes to its job's, once; return all of them.

        Empty where the shard was counted before, or is no longer wanted.
        """
        flat = [part for pair in votes.items() for part in pair]
        reply = self._run("count_shard", self._worker_id, shard_id, shard.split, *flat)
        return votes_of(pairs(reply))

    def settle(self, shard_id: str, shard: Shard, progress: bytes, *, is_decided: bool) -> bool:
        """Write how the vote stands after a shard was counted; a decided one closes the job."""
        job_id = shard_id.partition(".")[0]
        return bool(self._run("settle", job_id, shard.split, int(is_decided), progress))
