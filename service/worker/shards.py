"""Large jobs in shards: which are divided, what is solved of one, and whether its vote is decided.

A job with many samples is divided by the worker that enrolled it, and from then on shared by all
that answer with the same checkpoint (`service/jobs/shards.py` says how it lives in Redis). A shard
is solved like a job with some of the variants, and its votes are added up. The worker that claims
the closing takes them over and goes on as if it had counted them: it makes the answer, or repeats
the vote on a larger crop, itself and whole, where outputs were cut.
"""

from collections.abc import Callable, Mapping
from typing import Final

from augment import KINDS
from service.jobs import CheckpointRecord
from service.solving.shards import OUTCOMES, from_counts, num_drawn, take_part, to_counts
from service.solving.solve import Solving
from service.wire.job import Progress
from service.worker.job_table import ActiveJob, report_votes
from service.worker.messages import Divided, Voted
from voting import Ranking, decided

# Of a job that is just large enough. By default a shard then has as many samples as an engine on
# CUDA takes at once; more in a shard leave workers idle at the end, fewer leave slots empty.
SHARDS_AT_THRESHOLD: Final = 4
MAX_SHARDS: Final = 64
# A grid takes up to 2 kB in Redis, so that even votes that all differ take 60 MB.
MAX_SAMPLES: Final = 30_000


class Divider:
    """Divides jobs of more than `threshold` samples, where several workers are ready; 0: none.

    `num_ready` returns how many workers are ready to answer with a checkpoint, by its hash.
    """

    def __init__(self, threshold: int, num_ready: Callable[[str], int]) -> None:
        self._threshold = threshold
        self._num_ready = num_ready

    def divide(self, job: ActiveJob, record: CheckpointRecord | None) -> Divided | None:
        """Return how to divide an enrolled job; None where it stays whole.

        `record` is that of its checkpoint, None for one that was adapted for it and that other
        workers may not have. Whole stay also ensembles, puzzles with rules, which are mostly solved
        by one of the first variants, jobs with a trace, and jobs that may have crashed a worker.
        """
        options, num_inputs = job.request.options, len(job.request.task.puzzle.test)
        is_whole = job.is_isolated or len(job.members) > 1 or options.trace
        if job.job.shard is not None or is_whole or record is None:
            return None
        if not KINDS[record.kind].has_own_rows:
            return None
        num_variants = num_drawn(job.members[0], options)
        num_samples = num_variants * num_inputs
        if not 0 < self._threshold < num_samples <= MAX_SAMPLES:
            return None
        per_shard = max(
            self._threshold // SHARDS_AT_THRESHOLD // num_inputs, -(-num_variants // MAX_SHARDS), 1
        )
        starts = range(0, num_variants, per_shard)
        if len(starts) < 2 or self._num_ready(record.sha256) < 2:
            return None
        return Divided(
            job.id,
            record.sha256,
            tuple(range(start, min(start + per_shard, num_variants)) for start in starts),
            num_variants,
            Progress(outcomes=0, asked=num_samples, decided=0, test_inputs=num_inputs).to_json(),
        )


def begin_solving(job: ActiveJob) -> Solving:
    """Return the solving of an enrolled job, of the part of it that a shard is, or of its closing.

    Raises: InputError; EnrolmentError where a shard does not fit the rows here.
    """
    puzzle, options, shard = job.request.task.puzzle, job.request.options, job.job.shard
    if shard is None:
        return Solving(puzzle, job.members, options)
    if shard.is_closing:
        counted = from_counts(shard.votes, len(puzzle.test))
        return Solving(puzzle, job.members, options, counted)
    member = take_part(job.members[0], shard.part, shard.num_variants, options)
    return Solving(puzzle, [member], options.with_changes(variants=None, stop_early=False))


def collect_votes(job: ActiveJob) -> Voted | None:
    """Return the votes of a shard that is solved; None for a whole job, or the closing of one."""
    shard = job.job.shard
    if shard is None or shard.is_closing:
        return None
    options, num_inputs = job.request.options, len(job.request.task.puzzle.test)
    return Voted(job.id, shard, to_counts(job.solving.counted), options, num_inputs)


def judge(event: Voted, votes: Mapping[str, int]) -> tuple[bytes, bool]:
    """Return the progress of a divided job as JSON, and whether its attempts are settled.

    `votes` are those counted so far, by shards of it.
    """
    options, num_variants = event.options, event.shard.num_variants
    ranking = Ranking(options.ranking)
    tallies = [counted.tally for counted in from_counts(votes, event.num_inputs)]
    are_decided = [
        options.stop_early
        and decided(tally, num_variants - tally.num_ballots, options.attempts, ranking)
        for tally in tallies
    ]
    progress = Progress(
        outcomes=votes.get(OUTCOMES, 0),
        asked=num_variants * event.num_inputs,
        decided=sum(are_decided),
        test_inputs=event.num_inputs,
        tests=report_votes(tallies, ranking),
    )
    return progress.to_json(), all(are_decided)
