"""What is known of a submission when the server writes late, not at all, or cannot be asked."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from job_desk import Desk, job
from redis.exceptions import ConnectionError as RedisConnectionError

from service.jobs import BatchStore, JobState, JobStore, NewBatch, connection
from service.runtime.embedded import EmbeddedServer
from service.wire.errors import NotDurable, QueueUnavailable, SubmissionInDoubt

TIMEOUT_S = 60.0


@pytest.fixture
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the address of a server of its own, whose configuration a test may change."""
    with EmbeddedServer(tmp_path_factory.mktemp("s")) as url:
        yield url


@pytest.fixture
def client(url: str) -> Iterator[redis.Redis]:
    """Return a client of the server."""
    with redis.Redis.from_url(url) as client:
        yield client


@pytest.fixture
def strict(url: str) -> Desk:
    """Return a desk that answers a submission once it is on disk."""
    return Desk(url, strict_durability=True)


@pytest.fixture
def never_on_disk(client: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the server leave its writes to the operating system, so that none is known to be kept."""
    client.config_set("appendfsync", "no")
    monkeypatch.setattr(connection, "DURABLE_TIMEOUT_MS", 100)


def num_queued(url: str) -> int:
    return sum(Desk(url)(lambda store: store.depth()).waiting.values())


def test_a_strict_store_waits_until_a_job_is_on_disk(strict: Desk) -> None:
    job_id = strict.submit(job())
    assert strict.state(job_id) is JobState.QUEUED


@pytest.mark.usefixtures("never_on_disk")
def test_a_job_not_known_to_be_on_disk_is_said_to_be_queued(
    strict: Desk, url: str, client: redis.Redis
) -> None:
    with pytest.raises(NotDurable, match="is queued, but not known to be on disk") as first:
        strict.submit(job(key="k"))
    assert strict.state(first.value.id) is JobState.QUEUED

    # The second connection has written nothing that the server could wait for.
    with pytest.raises(NotDurable) as again:
        strict.submit(job(key="k"))
    assert again.value.id == first.value.id
    assert num_queued(url) == 1

    client.config_set("appendfsync", "everysec")
    submitted = strict(lambda store: store.submit(job(key="k")))
    assert (submitted.job.id, submitted.is_new) == (first.value.id, False)


@pytest.mark.usefixtures("never_on_disk")
def test_a_batch_not_known_to_be_on_disk_is_said_to_be_queued(strict: Desk, url: str) -> None:
    new = NewBatch(owner="anna", name="b", options=b"{}", puzzles={"p": b"{}"}, fingerprint="f")
    with pytest.raises(NotDurable) as error:
        strict(lambda store: BatchStore(store).submit(new))
    assert strict(lambda store: BatchStore(store).get(error.value.id)).name == "b"
    assert num_queued(url) == 1


def test_without_a_file_a_strict_store_queues_nothing(
    strict: Desk, url: str, client: redis.Redis
) -> None:
    client.config_set("appendonly", "no")
    with pytest.raises(QueueUnavailable, match="appendonly is disabled") as refused:
        strict.submit(job())
    assert type(refused.value) is QueueUnavailable
    assert num_queued(url) == 0
    with pytest.raises(QueueUnavailable, match="appendonly is disabled"):
        strict(lambda store: store.submissions.check_writable())
    Desk(url)(lambda store: store.submissions.check_writable())


def test_a_submission_without_a_reply_is_in_doubt(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def submit(store: JobStore) -> None:
        script = store.scripts._scripts["submit"]

        async def lost_reply(**arguments: Any) -> None:
            await script(**arguments)
            raise RedisConnectionError("connection lost")

        monkeypatch.setitem(store.scripts._scripts, "submit", lost_reply)
        await store.submit(job())

    for strict_durability in (False, True):
        with pytest.raises(SubmissionInDoubt, match="connection lost"):
            Desk(url, strict_durability=strict_durability)(submit)
    assert num_queued(url) == 2


@pytest.mark.parametrize(
    ("fault", "word"),
    [("memory", "OutOfMemoryError"), ("disk", "MISCONF"), ("replica", "ReadOnlyError")],
)
def test_a_server_that_takes_no_writes_is_noticed_before_anything_is_queued(
    url: str, client: redis.Redis, fault: str, word: str
) -> None:
    desk = Desk(url)
    desk(lambda store: store.submissions.check_writable())
    if fault == "memory":
        client.config_set("maxmemory", 1)
    elif fault == "replica":
        client.replicaof("127.0.0.1", "1")
    else:
        fail_to_save(client)

    with pytest.raises(QueueUnavailable, match=word):
        desk(lambda store: store.submissions.check_writable())
    with pytest.raises(QueueUnavailable) as refused:
        desk.submit(job())
    assert type(refused.value) is QueueUnavailable
    assert num_queued(url) == 0
    assert client.keys("*") == []


def fail_to_save(client: redis.Redis) -> None:
    """Let the server fail to write a snapshot, as on a full disk; it takes no writes then."""
    configured: dict[str, str] = client.config_get("dir")  # type: ignore[assignment]
    (Path(configured["dir"]) / "dump.rdb" / "in the way").mkdir(parents=True)
    client.config_set("save", "3600 1")
    client.bgsave()
    deadline = time.monotonic() + TIMEOUT_S
    while client.info("persistence")["rdb_last_bgsave_status"] != "err":  # type: ignore[index]
        assert time.monotonic() < deadline
        time.sleep(0.05)
