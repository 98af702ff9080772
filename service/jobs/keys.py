"""The names of everything the job layer keeps in Redis."""

import re
import secrets
from typing import Final

# One hash tag for all, so that scripts may touch several keys on a Redis Cluster too.
PREFIX: Final = "{hrm-arc}:"
GROUP: Final = "workers"
EVENTS: Final = f"{PREFIX}events"
CANCELS: Final = f"{PREFIX}cancels"
DEAD: Final = f"{PREFIX}dead"
WAITING: Final = f"{PREFIX}waiting"
# Ids of the jobs that are divided into shards now.
DIVIDED: Final = f"{PREFIX}divided"
# Ids of queued jobs with a deadline, by the deadline (ms, the clock of Redis).
DEADLINES: Final = f"{PREFIX}deadlines"
# The latest time that a worker saw at the server (ms).
CLOCK: Final = f"{PREFIX}clock"
WORKERS: Final = f"{PREFIX}workers"
# Ids of adapted checkpoints that were asked to be removed, by when (seconds, the clock of Redis).
ADAPTED_REMOVED: Final = f"{PREFIX}adapted-removed"
# When the workers were asked last to reload their checkpoints (seconds, the clock of Redis).
RELOAD: Final = f"{PREFIX}reload"
# A worker hears of either within a second; one that is away for longer comes back as another.
REQUESTS_KEPT_S: Final = 3600.0
# Never holds anything: writing nothing to it asks whether writes are taken.
WRITE_PROBE: Final = f"{PREFIX}write-probe"
# Written where a later WAITAOF needs a write of its own connection; its value means nothing.
FENCE: Final = f"{PREFIX}fence"
_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")


def is_id(text: str) -> bool:
    """Return whether a text may be the id of a job or a batch, and so part of a key."""
    return _ID.fullmatch(text) is not None


def new_id() -> str:
    """Make an id that nobody can guess, and that no command line takes for an option."""
    while (job_id := secrets.token_urlsafe(16)).startswith("-"):
        pass
    return job_id


def job_key(job_id: str) -> str:
    """Name a job's record."""
    return f"{PREFIX}job:{job_id}"


def batch_key(batch_id: str) -> str:
    """Name a batch's record."""
    return f"{PREFIX}batch:{batch_id}"


def is_shard(job_id: str) -> bool:
    """Return whether an id is that of a shard, and not of a whole job."""
    return "." in job_id


def queue_key(priority: str) -> str:
    """Name the stream that jobs of a priority wait in, or shards of a checkpoint."""
    return f"{PREFIX}queue:{priority}"


def shard_priority(checkpoint_sha256: str) -> str:
    """Name what the shards that a checkpoint answers have in place of a priority."""
    return f"shards:{checkpoint_sha256}"


def jobs_key(owner: str) -> str:
    """Name the list of an owner's jobs, by time of creation."""
    return f"{PREFIX}jobs:{owner}"


def batches_key(owner: str) -> str:
    """Name the list of an owner's batches, by time of creation."""
    return f"{PREFIX}batches:{owner}"


def worker_key(worker_id: str) -> str:
    """Name a worker's record."""
    return f"{PREFIX}worker:{worker_id}"


def ready_key(checkpoint_sha256: str) -> str:
    """Name the list of the workers that are ready to answer with a checkpoint, by time."""
    return f"{PREFIX}ready:{checkpoint_sha256}"


def puzzle_index_keys(checkpoint_sha256: str) -> tuple[str, str]:
    """Name a checkpoint's puzzles by the hash of their demonstrations, and the list of their names.

    Both are there, or neither is of use.
    """
    return f"{PREFIX}puzzles:{checkpoint_sha256}", f"{PREFIX}puzzle-names:{checkpoint_sha256}"
