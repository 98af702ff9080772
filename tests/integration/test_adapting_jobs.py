"""Jobs that adapt a checkpoint first, and the checkpoints kept of them, in a real Valkey."""

import json
import time
from collections.abc import Callable, Iterator

import pytest
import redis
from job_desk import Desk, job

from service.jobs import AdaptedRecord, Claims, Failure, JobState, WorkerRecord
from service.wire.errors import AdaptedNotFound

MAX_ATTEMPTS = 3


@pytest.fixture
def desk(valkey_url: str, fresh_redis: redis.Redis) -> Desk:
    return Desk(valkey_url)


@pytest.fixture
def claims_of(valkey_url: str, desk: Desk) -> Iterator[Callable[[str], Claims]]:
    """Return a maker of workers' claims whose leases are short."""
    made: list[Claims] = []

    def make(worker_id: str) -> Claims:
        made.append(Claims(valkey_url, worker_id=worker_id, lease_s=0.2, max_attempts=MAX_ATTEMPTS))
        return made[-1]

    yield make
    for claims in made:
        claims.close()


@pytest.fixture
def worker(claims_of: Callable[[str], Claims]) -> Claims:
    return claims_of("one")


@pytest.fixture
def other(claims_of: Callable[[str], Claims]) -> Claims:
    return claims_of("two")


@pytest.fixture
def adapting(desk: Desk, worker: Claims) -> str:
    """Return a job for which `worker` adapts a checkpoint."""
    job_id = desk.submit(job())
    worker.claim(1, 0)
    assert worker.adapts(job_id)
    return job_id


def states_since(desk: Desk, job_id: str, event_id: str) -> list[str]:
    events = desk(lambda store: store.events_since(job_id, event_id)) or ()
    return [json.loads(event.data).get("state", event.kind) for event in events]


def test_a_job_adapts_and_then_runs(desk: Desk, worker: Claims) -> None:
    job_id = desk.submit(job())
    position = desk(lambda store: store.get(job_id)).last_event
    worker.claim(1, 0)
    worker.progress(job_id, b'{"outcomes":1}')
    assert worker.adapts(job_id)
    found = desk(lambda store: store.get(job_id))
    assert (found.state, found.progress) == (JobState.ADAPTING, None)
    assert not found.state.is_final
    worker.progress(job_id, b'{"outcomes":0}')
    assert desk(lambda store: store.get(job_id)).progress == b'{"outcomes":0}'
    assert worker.runs(job_id)
    found = desk(lambda store: store.get(job_id))
    assert (found.state, found.progress) == (JobState.RUNNING, None)
    assert worker.succeed(job_id, b"1")
    assert states_since(desk, job_id, position) == [
        *("running", "progress", "adapting", "progress", "running", "succeeded")
    ]
    events = desk(lambda store: store.events_since(job_id, position)) or ()
    assert [event.is_last for event in events] == [False] * 5 + [True]


def test_what_is_reported_twice_happens_once(desk: Desk, worker: Claims, adapting: str) -> None:
    worker.progress(adapting, b"{}")
    position = desk(lambda store: store.get(adapting)).last_event
    assert worker.adapts(adapting)
    found = desk(lambda store: store.get(adapting))
    assert (found.progress, found.last_event) == (b"{}", position)


def test_only_the_owner_may_turn_or_forgive(desk: Desk, worker: Claims, other: Claims) -> None:
    job_id = desk.submit(job())
    assert not worker.adapts(job_id)  # nobody's yet
    worker.claim(1, 0)
    for turn in (other.adapts, other.runs, other.forgive):
        assert not turn(job_id)
        assert not turn("nobody's")
    assert desk.state(job_id) is JobState.RUNNING
    assert worker.succeed(job_id, b"1")
    for turn in (worker.adapts, worker.runs, worker.forgive):
        assert not turn(job_id)
    assert desk.state(job_id) is JobState.SUCCEEDED


def test_an_adapting_job_can_be_renewed_and_is_listed(
    desk: Desk, worker: Claims, other: Claims, adapting: str
) -> None:
    for _ in range(3):
        time.sleep(0.1)
        assert worker.renew([adapting]).lost == frozenset()
        assert other.reclaim(4) == []
    listed = desk(lambda store: store.list("anna", states=[JobState.ADAPTING])).items
    assert [found.id for found in listed] == [adapting]
    assert desk(lambda store: store.depth()).running == 1


def test_an_adapting_job_whose_worker_is_silent_is_taken_over_as_running(
    desk: Desk, worker: Claims, other: Claims, adapting: str
) -> None:
    worker.progress(adapting, b"{}")
    time.sleep(0.25)
    (claim,) = other.reclaim(4)
    assert (claim.id, claim.attempts, claim.progress) == (adapting, 2, None)
    assert desk.state(adapting) is JobState.RUNNING
    assert worker.renew([adapting]).lost == {adapting}
    assert not worker.runs(adapting)


def test_an_adapting_job_can_be_cancelled(desk: Desk, worker: Claims, adapting: str) -> None:
    worker.listen(0.01)
    asked = desk(lambda store: store.cancel(adapting))
    assert (asked.state, asked.cancel_requested) == (JobState.ADAPTING, True)
    assert worker.listen(1.0) == {adapting}
    assert worker.renew([adapting]).cancelled == {adapting}
    assert worker.cancelled(adapting)
    assert desk.state(adapting) is JobState.CANCELLED


@pytest.mark.parametrize("how", ["fail", "hand_back", "succeed"])
def test_an_adapting_job_can_end_or_go_back(
    desk: Desk, worker: Claims, adapting: str, how: str
) -> None:
    match how:
        case "fail":
            assert worker.fail(adapting, Failure("unsolvable", "no"))
            assert desk.state(adapting) is JobState.FAILED
        case "hand_back":
            worker.progress(adapting, b"{}")
            assert worker.hand_back(adapting, charge=False)
            found = desk(lambda store: store.get(adapting))
            assert (found.state, found.progress, found.attempts) == (JobState.QUEUED, None, 0)
        case _:
            assert worker.succeed(adapting, b"1")
            assert desk.state(adapting) is JobState.SUCCEEDED
    assert desk(lambda store: store.depth()).running == 0


def test_attempts_that_got_further_do_not_run_out(desk: Desk, worker: Claims) -> None:
    job_id = desk.submit(job())
    for _ in range(2 * MAX_ATTEMPTS):
        (claim,) = worker.claim(1, 0)
        assert claim.attempts <= 2
        assert worker.adapts(job_id)
        assert worker.forgive(job_id)
        assert desk(lambda store: store.get(job_id)).attempts == 1
        worker.hand_back(job_id, charge=True, reason="killed")
    for _ in range(MAX_ATTEMPTS - 1):  # from here on without getting further
        worker.claim(1, 0)
        worker.hand_back(job_id, charge=True, reason="killed")
    assert worker.claim(1, 0.01) == []
    assert desk.state(job_id) is JobState.FAILED


def record_of(name: str, made_at: float, **changes: object) -> AdaptedRecord:
    fields: dict[str, object] = {
        "id": name,
        "base": "base",
        "base_sha256": "ab" * 32,
        "puzzle": "p",
        "demonstrations_sha256": "cd" * 32,
        "variants": 64,
        "steps": 10,
        "seconds": 1.5,
        "held_out_share": None,
        "bytes": 1000,
        "made_at": made_at,
        "used_at": made_at,
        "complete": True,
    }
    return AdaptedRecord.model_validate(fields | changes)


def record_of_worker(worker_id: str, *adapted: AdaptedRecord) -> WorkerRecord:
    return WorkerRecord(
        id=worker_id,
        host="host",
        device="cpu",
        state="ready",
        num_running=0,
        num_slots=8,
        checkpoints=(),
        started_at=5.0,
        adapted=adapted,
    )


def register(claims: Claims, *adapted: AdaptedRecord) -> WorkerRecord:
    record = record_of_worker(claims.worker_id, *adapted)
    claims.register(record)
    return record


def test_what_a_worker_keeps_is_reported_as_it_is(desk: Desk, worker: Claims) -> None:
    kept = record_of("a", 5.0, held_out_share=0.25, complete=False)
    reported = register(worker, kept)
    (found,) = desk(lambda store: store.served.workers())
    assert found.model_copy(update={"seen_at": 0.0}) == reported
    assert desk(lambda store: store.served.adapted()) == (kept,)


def test_what_a_worker_of_before_keeps_is_local() -> None:
    document = json.loads(record_of_worker("w", record_of("a", 5.0)).model_dump_json())
    (adapted,) = document["adapted"]
    del adapted["owner"]
    adapted["num_steps"], adapted["is_complete"] = adapted.pop("steps"), adapted.pop("complete")
    (kept,) = WorkerRecord.from_json(json.dumps(document).encode(), 1.0).adapted
    assert (kept.owner, kept) == ("local", record_of("a", 5.0))


def test_a_worker_of_before_keeps_nothing() -> None:
    document = json.loads(record_of_worker("w").model_dump_json())
    del document["adapted"]
    assert WorkerRecord.from_json(json.dumps(document).encode(), 1.0).adapted == ()


def test_adapted_checkpoints_of_all_workers_are_listed_once_the_newest_first(
    desk: Desk, worker: Claims, other: Claims
) -> None:
    snapshot = record_of("shared", 3.0, complete=False, used_at=9.0)
    used_later = record_of("old", 1.0, used_at=8.0)
    register(worker, record_of("old", 1.0), snapshot)
    register(other, record_of("new", 7.0), used_later, record_of("shared", 3.0))
    assert desk(lambda store: store.served.adapted()) == (
        record_of("new", 7.0),
        record_of("shared", 3.0),
        used_later,
    )
    other.leave()
    assert [found.id for found in desk(lambda store: store.served.adapted())] == ["shared", "old"]


def test_what_is_removed_is_reported_to_workers_and_listed_no_more(
    desk: Desk, worker: Claims
) -> None:
    made_at = time.time() - 60
    register(worker, record_of("a", made_at), record_of("b", made_at))
    assert worker.removed_adapted() == {}
    desk(lambda store: store.served.remove_adapted("a"))
    (removed_at,) = worker.removed_adapted().values()
    assert removed_at == pytest.approx(time.time(), abs=5)
    assert worker.removed_adapted() == {"a": removed_at}
    assert [found.id for found in desk(lambda store: store.served.adapted())] == ["b"]
    for unknown in ("a", "c"):
        with pytest.raises(AdaptedNotFound, match=f"adapted checkpoint '{unknown}' does not exist"):
            desk(lambda store, unknown=unknown: store.served.remove_adapted(unknown))
    register(worker, record_of("a", removed_at + 1))  # made again since
    assert [found.id for found in desk(lambda store: store.served.adapted())] == ["a"]


def test_removals_are_forgotten_after_an_hour(
    desk: Desk, worker: Claims, fresh_redis: redis.Redis
) -> None:
    removals, now = "{hrm-arc}:adapted-removed", time.time()
    fresh_redis.zadd(removals, {"ancient": now - 3700, "recent": now - 3500})
    assert set(worker.removed_adapted()) == {"recent"}
    register(worker, record_of("a", now - 60))
    desk(lambda store: store.served.remove_adapted("a"))
    assert set(fresh_redis.zrange(removals, 0, -1)) == {b"recent", b"a"}
