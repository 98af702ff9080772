"""The load: a thread in which actions chosen at random run beside each other, at a steady rate."""

import asyncio
import random
import threading
import time
from typing import Any

import redis.asyncio
from redis.exceptions import RedisError

from service.jobs import JobStore
from service.jobs.keys import EVENTS
from soak.actions import ACTIONS, Action, Callers, undisturbed_answers
from soak.hostile import HOSTILE_ACTIONS
from soak.ledger import Ledger
from soak.puzzles import known_questions

MAX_AT_ONCE = 60
ALL_ACTIONS = ACTIONS | HOSTILE_ACTIONS


class Load(threading.Thread):
    """Callers of the API at `url`, so many new ones a second.

    The first `ready` event is set when the answers of the undisturbed run are there; after `stop`
    the actions under way end, and the thread with them. `error` is what ended it otherwise.
    """

    def __init__(self, url: str, redis_url: str, seed: int, rate: float) -> None:
        super().__init__(name="load", daemon=True)
        self.ledger = Ledger()
        self.answers: dict[str, Any] = {}
        self.ready = threading.Event()
        self.error: Exception | None = None
        self._url, self._redis_url, self._rate = url, redis_url, rate
        self._rng = random.Random(seed)
        self._is_over = False

    def stop(self) -> None:
        """Start no more actions."""
        self._is_over = True

    def run(self) -> None:
        """Run the event loop of the callers."""
        try:
            asyncio.run(self._run())
        except Exception as error:  # noqa: BLE001 - shown at the end of the soak
            self.error = error
        finally:
            self.ready.set()

    async def _run(self) -> None:
        store = JobStore.connect(self._redis_url)
        questions = known_questions()
        callers = Callers(self._url, self.ledger, self._rng, questions=questions, store=store)
        listening = asyncio.create_task(self._count_ends())
        try:
            self.answers = await undisturbed_answers(callers)
            self.ready.set()
            await self._act(callers)
        finally:
            listening.cancel()
            await callers.http.aclose()
            await store.close()

    async def _act(self, callers: Callers) -> None:
        running: set[asyncio.Task[None]] = set()
        names, weights = list(ALL_ACTIONS), list(ALL_ACTIONS.values())
        while not self._is_over:
            (action,) = self._rng.choices(names, weights)
            if len(running) < MAX_AT_ONCE:
                task = asyncio.create_task(self._guarded(action, callers))
                running.add(task)
                task.add_done_callback(running.discard)
            await asyncio.sleep(self._rng.expovariate(self._rate))
        callers.is_over = True
        await asyncio.gather(*running)

    async def _guarded(self, action: Action, callers: Callers) -> None:
        """Do something; an error in it is one of the soak itself."""
        self.ledger.actions[action.__name__] += 1
        try:
            await action(callers)
        except Exception as error:  # noqa: BLE001 - it is shown, and fails the audit
            self.ledger.surprise(f"{action.__name__} ended with {error!r}")

    async def _count_ends(self) -> None:
        """Count how often the end of each job is announced, for as long as the load goes on."""
        client = redis.asyncio.Redis.from_url(self._redis_url)
        position: Any = "0-0"
        while True:
            try:
                found = await client.xread({EVENTS: position}, count=500, block=1000)
            except (RedisError, OSError):
                await asyncio.sleep(0.3)
                continue
            for _, entries in found or ():
                for entry_id, fields in entries:
                    position = entry_id
                    if fields[b"last"] == b"1":
                        job_id = fields[b"job"].decode()
                        self.ledger.ends.setdefault(job_id, []).append(time.monotonic())
