"""What is done to the service: kills, pauses, stops, full disks and memory, jumps of the clock."""

import asyncio
import contextlib
import os
import random
import resource
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator

import httpx
from redis.exceptions import RedisError

from service.jobs import JobStore
from service.jobs.keys import DEAD as DEAD_JOBS
from service.wire.errors import QueueError
from soak.actions import poisoned
from soak.ledger import SUCCEEDED, Ledger
from soak.puzzles import Question
from soak.stack import GRACE_S, LEASE_S, MAX_MEMORY, Part, Stack
from soak.worker import POISON

TICK_S = 0.1
POISON_LIMIT_S = 180.0
DEAD = frozenset({"attempts_exhausted"})

# A blow yields the seconds to wait until it goes on; meanwhile the service is kept running.
Blow = Iterator[float]


class Chaos:
    """Blows at random moments, from the main thread; `say` shows each of them.

    `kills` counts processes that were killed, by name, and `server_kills` says when Valkey was.
    With `is_sparing` the API and the second worker live on, so that their memory can be watched.
    """

    def __init__(
        self,
        stack: Stack,
        ledger: Ledger,
        question: Question,
        rng: random.Random,
        say: Callable[[str], None],
    ) -> None:
        self._stack, self._ledger, self._question = stack, ledger, question
        self._rng, self._say = rng, say
        self.kills: Counter[str] = Counter()
        self.blows: Counter[str] = Counter()
        self.server_kills: list[float] = []
        self.is_sparing = False
        # Each kind in turn before any comes again, so that a short soak has most of them.
        self._turns: list[bool] = []
        self._killing: list[Callable[[], Blow]] = []
        self._others: list[Callable[[], Blow]] = []

    def next_blow(self) -> Blow:
        """Return what happens next; of all blows, two in three kill."""
        self._turns = self._turns or self._rng.sample((True, True, False), 3)
        if self._turns.pop():
            self._killing = self._killing or self._shuffled(
                *(self._kill_worker, self._kill_worker, self._kill_worker, self._kill_worker),
                *(self._kill_server, self._kill_server, self._kill_api),
            )
            return self._killing.pop()()
        self._others = self._others or self._shuffled(
            *(self._pause_worker, self._stop_worker, self._stop_api, self._fill_disk),
            *(self._fill_memory, self._shift_clock, self._pause_server),
        )
        return self._others.pop()()

    def poison(self) -> Blow:
        """Send a job that crashes its worker until its attempts are used up, and queue it again."""
        self._note("poison", "a job that crashes its worker")
        self._stack.poison.touch()
        body = poisoned(self._question, POISON)
        job_id = None
        while job_id is None:
            with contextlib.suppress(httpx.HTTPError):
                headers = {"Idempotency-Key": f"poison-{len(self._ledger.jobs)}"}
                reply = httpx.post(f"{self._stack.url}/v1/jobs", json=body, headers=headers)
                job_id = reply.json().get("id") if reply.status_code in (200, 202) else None
            yield 1.0
        self._ledger.accept(job_id, "", SUCCEEDED | DEAD)
        deadline = time.monotonic() + POISON_LIMIT_S
        while time.monotonic() < deadline and not self._is_dead(job_id):
            yield 0.5
        self._stack.poison.unlink()
        if not self._is_dead(job_id):
            self._ledger.surprise(f"job {job_id} did not die in {POISON_LIMIT_S:.0f} s")
            return
        known = self._ledger.jobs[job_id]
        known.may_end = SUCCEEDED
        self._note("requeue", "the dead job is queued again")
        while self._is_dead(job_id):
            known.num_queued += 1
            with contextlib.suppress(QueueError):
                asyncio.run(_requeue(self._stack.server.url, job_id))
            yield 1.0

    def end(self) -> None:
        """Undo what may still be under way."""
        self._stack.poison.unlink(missing_ok=True)
        for part in self._stack.parts:
            part.signal(signal.SIGCONT)

    def crashed(self, names: list[str]) -> None:
        """Note parts that have ended by themselves."""
        for name in names:
            self._note("crash", name)
            if not self._stack.poison.exists():
                self._ledger.surprise(f"{name} ended by itself")

    def _kill_worker(self) -> Blow:
        yield from self._kill(self._worker())

    def _kill_api(self) -> Blow:
        yield from self._kill(self._worker() if self.is_sparing else self._stack.api)

    def _kill(self, part: Part) -> Blow:
        part.start_at = time.monotonic() + self._rng.uniform(0.1, 2.0)
        part.kill()
        self._count_kill(part.name)
        yield 0.0

    def _kill_server(self) -> Blow:
        now = time.monotonic()
        self.server_kills.append(now)
        self._stack.kill_server(now + self._rng.uniform(0.1, 3.0))
        self._count_kill("valkey")
        while self._stack.server_start_at is not None:
            yield TICK_S

    def _pause_worker(self) -> Blow:
        part, pause_s = self._worker(), LEASE_S + self._rng.uniform(0.5, 3.0)
        self._note("pause", f"{part.name} for {pause_s:.1f} s")
        part.signal(signal.SIGSTOP)
        yield pause_s
        part.signal(signal.SIGCONT)

    def _pause_server(self) -> Blow:
        pause_s = self._rng.uniform(1.0, 4.0)
        self._note("pause", f"valkey for {pause_s:.1f} s")
        if (pid := self._stack.server.pid) is not None:
            with contextlib.suppress(ProcessLookupError):  # it may be killed meanwhile
                os.kill(pid, signal.SIGSTOP)
                yield pause_s
                os.kill(pid, signal.SIGCONT)

    def _stop_worker(self) -> Blow:
        yield from self._stop(self._worker(), 0)

    def _stop_api(self) -> Blow:
        yield from self._stop(self._worker() if self.is_sparing else self._stack.api, 0)

    def _stop(self, part: Part, code: int) -> Blow:
        """Stop a part in order; killed where it does not end."""
        self._note("stop", part.name)
        part.start_at = time.monotonic() + 3600
        part.signal(signal.SIGTERM)
        for _ in range(int((GRACE_S + 30) / TICK_S)):
            if part.pid is None:
                break
            yield TICK_S
        if part.pid is not None:
            self._ledger.surprise(f"{part.name} did not stop")
            part.kill()
        elif (found := part.wait(0)) not in (code, -signal.SIGTERM):
            self._ledger.surprise(f"{part.name} stopped with {found}")
        part.start_at = time.monotonic()

    def _fill_disk(self) -> Blow:
        """Let Valkey's files grow no further, which fails its writes as a full disk does."""
        seconds = self._rng.uniform(2.0, 5.0)
        self._note("full disk", f"for {seconds:.1f} s")
        pid = self._stack.server.pid
        files = (self._stack.server.folder / "appendonlydir").glob("*.aof")
        largest = max((file.stat().st_size for file in files), default=0)
        if pid is None:
            return
        with contextlib.suppress(ProcessLookupError):
            _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
            room = self._rng.randrange(4000)
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (largest + room, hard))
            yield seconds
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard, hard))

    def _fill_memory(self) -> Blow:
        """Let Valkey take no more memory than it has."""
        seconds = self._rng.uniform(2.0, 5.0)
        self._note("full memory", f"for {seconds:.1f} s")
        with contextlib.suppress(RedisError):
            used = int(self._stack.redis.info("memory")["used_memory"])
            self._stack.redis.config_set("maxmemory", used - 50_000)
            yield seconds
        while True:
            with contextlib.suppress(RedisError):
                self._stack.redis.config_set("maxmemory", MAX_MEMORY)
                return
            yield TICK_S

    def _shift_clock(self) -> Blow:
        clock = self._stack.clock
        if not clock.is_shiftable:
            self._note("clock", "stays as it is: there is no C compiler")
            return
        shift_s = self._rng.uniform(-60, 60)
        self._note("clock", f"of valkey from {clock.shift_s:+.0f} to {shift_s:+.0f} s")
        clock.shift(shift_s)
        yield 0.0

    def _worker(self) -> Part:
        workers = self._stack.workers
        return workers[0] if self.is_sparing else self._rng.choice(workers)

    def _is_dead(self, job_id: str) -> bool:
        with contextlib.suppress(RedisError):
            return self._stack.redis.zscore(DEAD_JOBS, job_id) is not None
        return False

    def _shuffled(self, *blows: Callable[[], Blow]) -> list[Callable[[], Blow]]:
        return self._rng.sample(blows, len(blows))

    def _count_kill(self, name: str) -> None:
        self.kills[name] += 1
        self._note("kill", name)

    def _note(self, kind: str, what: str) -> None:
        self.blows[kind] += 1
        self._say(f"{kind}: {what}")


async def _requeue(redis_url: str, job_id: str) -> None:
    store = JobStore.connect(redis_url)
    try:
        await store.requeue(job_id)
    finally:
        await store.close()
