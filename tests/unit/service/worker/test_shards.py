"""Large jobs in shards: which are divided, and that their votes are those of the whole."""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from voting_engine import VotingEngine, write_wide_folder

from augment import Puzzle
from service.jobs import Job, Shard
from service.wire.job import Progress
from service.worker.messages import Change, Changed, Divided, Failed, StartJob, Succeeded, Voted
from service.worker.shards import MAX_SHARDS, Divider, judge

NUM_VARIANTS = 40


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Puzzle]:
    """Return a checkpoint, and the puzzle of two test inputs that it has 40 rows for."""
    folder = tmp_path_factory.mktemp("checkpoints") / "wide"
    return folder, write_wide_folder(folder, NUM_VARIANTS)


@pytest.fixture
def run(
    engines_of: Callable[..., Any], job_of: Callable[..., Job], wide: tuple[Path, Puzzle]
) -> Callable[..., Any]:
    """Return what runs the job, or a shard of it, in an engine loop; gives how it left."""
    loops: dict[tuple[int, int], Any] = {}

    def start(
        shard: Shard | None = None,
        *,
        threshold: int = 0,
        num_ready: int = 2,
        is_isolated: bool = False,
        **options: Any,
    ) -> Any:
        divider = Divider(threshold, lambda _: num_ready)
        key = threshold, num_ready
        if key not in loops:
            loops[key] = engines_of(VotingEngine, folders={"wide": wide[0]}, divider=divider)
        job = replace(job_of(wide[1], **options), shard=shard)
        loops[key].send(StartJob(job, None, is_isolated))
        return loops[key].ends(1)["job"]

    return start


def shard_of(divided: Divided, part: range = range(0), **changes: Any) -> Shard:
    shard = Shard(
        split="1-0",
        checkpoint_sha256=divided.checkpoint_sha256,
        part=part,
        num_variants=divided.num_variants,
        job_started_at=1000.0,
        votes={},
        workers=frozenset(),
    )
    return replace(shard, **changes)


@pytest.mark.parametrize("variants", [None, 30])
def test_a_large_job_is_divided_into_parts_of_a_quarter_of_the_threshold(
    run: Callable[..., Any], variants: int | None
) -> None:
    divided = run(threshold=48, variants=variants, stop_early=False)

    assert isinstance(divided, Divided)
    assert divided.num_variants == (variants or NUM_VARIANTS)
    assert [index for part in divided.parts for index in part] == list(range(divided.num_variants))
    assert {len(part) for part in divided.parts[:-1]} == {48 // 4 // 2}
    asked = divided.num_variants * 2
    progress = Progress.model_validate_json(divided.progress)
    assert progress == Progress(outcomes=0, asked=asked, decided=0, test_inputs=2)
    assert divided.progress.startswith(b'{"outcomes":0,')  # which scripts replace


def test_there_are_not_more_shards_than_can_be_added_up_quickly(run: Callable[..., Any]) -> None:
    divided = run(threshold=1)
    assert len(divided.parts) == NUM_VARIANTS <= MAX_SHARDS


@pytest.mark.parametrize(
    "options",
    [
        {"threshold": 0},
        {"threshold": 2 * NUM_VARIANTS},
        {"threshold": 48, "num_ready": 1},
        {"threshold": 48, "is_isolated": True},
        {"threshold": 48, "trace": True, "attempts": 1},
        {"threshold": 1, "variants": 1},
    ],
    ids=["off", "not above the threshold", "no other worker", "isolated", "trace", "one variant"],
)
def test_other_jobs_stay_whole(run: Callable[..., Any], options: dict[str, Any]) -> None:
    end = run(**options)
    assert isinstance(end, Succeeded)
    assert json.loads(end.result)["workers"] == 1


@pytest.mark.parametrize("ranking", ["count", "q_weighted"])
def test_the_votes_of_shards_add_up_to_those_of_the_whole(
    run: Callable[..., Any], ranking: str
) -> None:
    options = {"stop_early": False, "seed": 5, "variants": 30, "ranking": ranking}
    whole = json.loads(run(**options).result)
    divided = run(threshold=48, **options)

    votes: Counter[str] = Counter()
    for part in reversed(divided.parts):
        voted = run(shard_of(divided, part), **options)
        assert isinstance(voted, Voted)
        votes.update(voted.votes)
        report, is_decided = judge(voted, votes)
        assert not is_decided  # every variant is to count
        assert Progress.model_validate_json(report).outcomes == votes["outcomes"]
    closing = shard_of(divided, votes=dict(votes), workers=frozenset(("a", "b", "c")))
    end = run(closing, **options)

    assert isinstance(end, Succeeded)
    answer = json.loads(end.result)
    assert answer["tests"] == whole["tests"]
    assert {name for name in answer if answer[name] != whole[name]} == {"timings_s", "workers"}
    assert answer["workers"] == 3
    # Submitted at 1000.0, and both claimed at 1000.25.
    assert answer["timings_s"]["queue"] == 0.0
    assert answer["timings_s"]["run"] >= 0.25


def test_a_vote_is_decided_once_no_other_shard_can_change_the_attempts(
    run: Callable[..., Any],
) -> None:
    options = {"attempts": 1}
    whole = json.loads(run(attempts=1, stop_early=False).result)
    divided = run(threshold=48, **options)
    votes: Counter[str] = Counter()
    num_counted = 0
    for part in divided.parts:
        voted = run(shard_of(divided, part), **options)
        votes.update(voted.votes)
        num_counted += len(part)
        if judge(voted, votes)[1]:
            break
    assert NUM_VARIANTS / 2 < num_counted < NUM_VARIANTS

    answer = json.loads(run(shard_of(divided, votes=dict(votes)), **options).result)

    for test, complete in zip(answer["tests"], whole["tests"], strict=True):
        assert test["attempts"] == complete["attempts"]
        assert (test["decided_early"], test["variants_used"]) == (True, num_counted)


def test_a_shard_of_another_number_of_variants_fails_its_job(run: Callable[..., Any]) -> None:
    divided = run(threshold=48)
    shard = shard_of(divided, range(8), num_variants=NUM_VARIANTS - 1)
    end = run(shard)
    assert isinstance(end, Failed)
    assert "39 where the job was divided" in end.failure.detail


def test_a_shard_of_a_checkpoint_that_was_dropped_is_handed_back(run: Callable[..., Any]) -> None:
    divided = run(threshold=48)
    shard = shard_of(divided, range(8), checkpoint_sha256="0" * 64)  # as it was before a reload
    assert run(shard) == Changed("job", Change.RELEASED)
    assert isinstance(run(shard_of(divided, range(8))), Voted)  # the loop goes on
