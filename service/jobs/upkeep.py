"""The upkeep of the job layer: what time, evicted keys and dead workers do to it is put right."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from service.jobs.served import WORKER_SEEN_S

# One worker of all does it, for jobs of any.
RECONCILE_EVERY_S = 60


def sweep(
    run: Callable[..., Any],
    priorities: Sequence[str],
    shard_priorities: Sequence[str],
    *,
    result_ttl_s: int,
    max_ended: int,
) -> None:
    """End overdue jobs and remove the oldest ended ones; once a minute, reconcile.

    `run` runs a script. Reconciling queues jobs again that have no entry in a queue, counts waiting
    and dead jobs again, and removes consumers of dead workers.
    """
    every = (*priorities, *shard_priorities)
    if run("sweep", result_ttl_s, max_ended, RECONCILE_EVERY_S, WORKER_SEEN_S, *every):
        reconcile(run, every, result_ttl_s=result_ttl_s)


def eviction_policy(memory: Mapping[str, Any]) -> str | None:
    """Return by which rule a server removes keys when memory is full; None where it does not.

    `memory` is what INFO says of it.
    """
    policy = str(memory.get("maxmemory_policy", "noeviction"))
    return None if policy == "noeviction" or not memory.get("maxmemory") else policy


def reconcile(run: Callable[..., Any], priorities: Sequence[str], *, result_ttl_s: int) -> None:
    """Compare records, queues, counts and lists, and put right what differs."""
    cursor = b"0"
    while (cursor := run("reconcile", cursor, result_ttl_s)) != b"0":
        pass
    run("tidy", *priorities)
