"""The audit of what is in Valkey and in the metrics: counts, streams, and keys that stay."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

from service.jobs import keys
from service.jobs.record import entry_job_id
from service.runtime.key_ring import LOCAL_OWNER
from service.wire.options import PRIORITIES
from soak.audit import Line, line
from soak.ledger import Ledger
from soak.stack import Stack

LIMIT_S = 150.0
# What is kept for good: bounded in itself, or by the jobs that are kept.
PERMANENT = {
    *(keys.EVENTS, keys.CANCELS, keys.DEAD, keys.WAITING, keys.DIVIDED, keys.DEADLINES),
    *(keys.CLOCK, keys.WORKERS, keys.ADAPTED_REMOVED, keys.FENCE),
    *(f"{keys.PREFIX}open", f"{keys.PREFIX}ended"),
    *(keys.queue_key(priority) for priority in PRIORITIES),
    *(keys.jobs_key(LOCAL_OWNER), keys.batches_key(LOCAL_OWNER)),
}


class StoreAudit:
    """What Valkey holds once every job has ended and the upkeep was done."""

    def __init__(self, stack: Stack, ledger: Ledger) -> None:
        self._stack, self._ledger, self._redis = stack, ledger, stack.redis
        self._keys: dict[str, int] = {}
        self._jobs: dict[str, dict[bytes, bytes]] = {}

    def lines(self) -> Iterator[Line]:
        """Judge what is stored."""
        self._read()
        yield line("waiting, running and dead jobs are counted right", self._wrong_counts())
        yield line("the metrics show the same", self._wrong_metrics())
        yield line("lists name what is kept", self._wrong_lists())
        yield line("batches know how many jobs are open", self._wrong_batches())
        names = ", ".join(sorted(key.removeprefix(keys.PREFIX) for key in self._untimed()))
        unknown = sorted(self._untimed() - PERMANENT)
        yield line("every key but the known ones goes in time", unknown, names)
        yield self._wait_for("streams hold nothing, and no dead workers", self._left_in_streams)
        yield line("no key is there without a reason", self._unexplained(), self._kinds())

    def _read(self) -> None:
        for key in self._redis.scan_iter(count=1000):
            self._keys[key.decode()] = self._redis.ttl(key)
        for key in self._keys:
            job_id = key.removeprefix(keys.job_key(""))
            if job_id != key:
                self._jobs[job_id] = self._redis.hgetall(key)

    def _states(self) -> Counter[str]:
        return Counter(fields[b"state"].decode() for fields in self._jobs.values())

    def _num_dead(self) -> int:
        codes = [fields.get(b"failure_code") for fields in self._jobs.values()]
        return codes.count(b"attempts_exhausted")

    def _truth(self) -> dict[str, int]:
        states = self._states()
        return {
            "waiting": states["queued"],
            "running": states["running"] + states["adapting"],
            "dead": self._num_dead(),
        }

    def _wrong_counts(self) -> Iterator[str]:
        truth = self._truth()
        waiting = {k.decode(): int(v) for k, v in self._redis.hgetall(keys.WAITING).items()}
        num_waiting = waiting.pop("", 0)
        if num_waiting != truth["waiting"] or sum(waiting.values()) != truth["waiting"]:
            yield f"{num_waiting} and {waiting} wait, but {truth['waiting']} jobs do"
        if self._redis.zcard(keys.DEAD) != truth["dead"]:
            yield f"{self._redis.zcard(keys.DEAD)} are listed as dead, {truth['dead']} are"
        for key in (keys.DIVIDED, keys.DEADLINES, f"{keys.PREFIX}open"):
            kind = self._redis.type(key)
            num = self._redis.zcard(key) if kind == b"zset" else self._redis.scard(key)
            if num != truth["waiting"] + truth["running"]:
                yield f"{key} has {num}"

    def _wrong_metrics(self) -> Iterator[str]:
        text = httpx.get(f"{self._stack.url}/metrics", timeout=30.0).text
        found: Counter[str] = Counter()
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                found[sample.name] += int(sample.value) if "hrm_arc" in sample.name else 0
                if sample.name == "hrm_arc_workers" and sample.labels["state"] == "ready":
                    found["ready"] = int(sample.value)
        expected = {
            f"hrm_arc_requests_{name}": self._truth()[name] for name in ("waiting", "running")
        }
        expected |= {"hrm_arc_jobs_dead": self._truth()["dead"], "hrm_arc_queue_up": 1}
        expected |= {"ready": len(self._stack.workers)}
        for name, number in expected.items():
            if found[name] != number:
                yield f"{name} is {found[name]}, not {number}"

    def _wrong_lists(self) -> Iterator[str]:
        whole = {job_id for job_id in self._jobs if not keys.is_shard(job_id)}
        for key in (keys.jobs_key(LOCAL_OWNER), f"{keys.PREFIX}ended"):
            listed = {member.decode() for member in self._redis.zrange(key, 0, -1)}
            if listed != whole:
                yield f"{key}: {len(listed - whole)} too many, {len(whole - listed)} missing"

    def _wrong_batches(self) -> Iterator[str]:
        for key in self._keys:
            if key.startswith(keys.batch_key("")):
                num_open = int(self._redis.hget(key, "num_open") or 0)
                if num_open != 0:
                    yield f"{key}: {num_open} open"

    def _untimed(self) -> set[str]:
        return {key for key, ttl_s in self._keys.items() if ttl_s < 0}

    def _left_in_streams(self) -> list[str]:
        """Return what is pending, and consumers of workers that are gone."""
        alive = {member.decode() for member in self._redis.zrange(keys.WORKERS, 0, -1)}
        records = set(self._redis.scan_iter(keys.worker_key("*")))
        gone = records - {keys.worker_key(one).encode() for one in alive}
        left = [f"the record {key.decode()}" for key in gone]
        for key in self._redis.scan_iter(keys.queue_key("*")):
            name = key.decode().removeprefix(keys.PREFIX)[:24]
            if entries := self._redis.xrange(key, count=2):
                left.append(f"{name} holds {[entry_job_id(fields) for _, fields in entries]}")
            for group in self._redis.xinfo_groups(key):
                if group["pending"]:
                    left.append(f"{name} has {group['pending']} pending")
                consumers = self._redis.xinfo_consumers(key, group["name"])
                names = {one["name"].decode() for one in consumers}
                left += [f"{name} has the consumer {one}" for one in names - alive]
        return left

    def _wait_for(self, name: str, find: Callable[[], list[Any]]) -> Line:
        """Judge once the workers' upkeep has had the time to help; it is made due at once."""
        deadline = time.monotonic() + LIMIT_S
        while (found := find()) and time.monotonic() < deadline:
            self._redis.delete(f"{keys.PREFIX}reconciled")
            time.sleep(2.0)
        return line(name, found)

    def _kind_of(self, key: str) -> str:
        return key.removeprefix(keys.PREFIX).partition(":")[0]

    def _kinds(self) -> str:
        counts = Counter(map(self._kind_of, self._keys))
        return f"{len(self._keys)} keys: " + ", ".join(f"{n} {kind}" for kind, n in counts.items())

    def _unexplained(self) -> Iterator[str]:
        """Name keys of nobody's jobs, and of parts of jobs that have ended."""
        known = set(self._ledger.jobs) | {one for b in self._ledger.batches.values() for one in b}
        strangers = [one for one in self._jobs if one not in known and not keys.is_shard(one)]
        if len(strangers) > self._ledger.num_in_doubt:
            yield f"{len(strangers)} jobs that nobody knows of, such as {strangers[0]}"
        yield from (f"the shard {one}" for one in self._jobs if keys.is_shard(one))
        for key in self._keys:
            if self._kind_of(key) == "votes":
                yield f"votes of {key}"
