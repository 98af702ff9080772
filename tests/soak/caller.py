"""A caller over HTTP who notes every reply, and repeats what had no answer with the same key."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import httpx

from soak.ledger import SUCCEEDED, Ledger, as_document

TIMEOUT_S = 30.0
MAX_REPEATS = 60
FINAL = frozenset({"succeeded", "failed", "cancelled"})
# What parts that are away, full or late are answered with.
PASSING = frozenset(
    {"not_ready", "queue_unavailable", "not_durable", "too_many_connections", "queue_full"}
)


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply to a request."""

    status: int
    document: dict[str, Any]

    @property
    def code(self) -> str:
        """The word for what it is: a problem's code, or the status."""
        return str(self.document.get("code", self.status))

    @property
    def is_accepted(self) -> bool:
        """Whether something was queued, now or before."""
        return self.status in (200, 202)

    @property
    def job_id(self) -> str | None:
        """The job that it is about: of a problem, its instance."""
        if self.is_accepted:
            return self.document.get("id")
        return str(self.document.get("instance", "")).partition("/v1/jobs/")[2] or None


class Caller:
    """Sends requests to the API at an address; `sleep` ends early once the load is over."""

    def __init__(self, url: str, ledger: Ledger, rng: random.Random) -> None:
        self.ledger, self.rng = ledger, rng
        self.is_over = False
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=8)
        self.http = httpx.AsyncClient(base_url=url, timeout=TIMEOUT_S, limits=limits)

    async def sleep(self, most_s: float) -> None:
        """Wait for a random time, for as long as the load goes on."""
        until = time.monotonic() + self.rng.uniform(0, most_s)
        while not self.is_over and time.monotonic() < until:
            await asyncio.sleep(0.1)

    async def ask(
        self, method: str, path: str, *, expects: frozenset[str] = frozenset(), **request: Any
    ) -> Reply | None:
        """Send a request; None where no answer came. A code that is not expected is a surprise."""
        try:
            response = await self.http.request(method, path, **request)
        except httpx.HTTPError as error:
            self.ledger.replies[type(error).__name__] += 1
            return None
        reply = Reply(response.status_code, as_document(response.content))
        self.ledger.replies[reply.code] += 1
        if not (reply.is_accepted or reply.code in expects | PASSING):
            self.ledger.surprise(f"{method} {path}: {reply.status} {reply.document}")
        return reply

    async def submit(
        self,
        body: dict[str, Any],
        question: str = "",
        *,
        path: str = "/v1/jobs",
        may_end: frozenset[str] = SUCCEEDED,
        prefer: str = "respond-async",
        retries: bool = True,
    ) -> str | None:
        """Submit until it is known what became of it; return the job's id, None for none.

        Without `retries` an answer that does not come leaves it in doubt.
        """
        key = f"soak-{self.rng.getrandbits(64):x}"
        headers = {"Prefer": prefer} | ({"Idempotency-Key": key} if retries else {})
        reply = await self.until_known(
            lambda: self.ask("POST", path, expects=may_end, json=body, headers=headers), retries
        )
        if reply is None or reply.job_id is None:
            return None
        result = reply.document.get("result")
        self.ledger.accept(reply.job_id, question, may_end, result)
        if retries and self.rng.random() < 0.2:
            again = await self.ask("POST", path, expects=may_end, json=body, headers=headers)
            if again is not None and again.job_id not in (None, reply.job_id):
                self.ledger.surprise(f"key {key} made jobs {reply.job_id} and {again.job_id}")
        return reply.job_id

    async def until_known(
        self, send: Callable[[], Awaitable[Reply | None]], retries: bool
    ) -> Reply | None:
        """Repeat a submission until something was queued or refused for good."""
        for _ in range(MAX_REPEATS if retries else 1):
            reply = await send()
            if reply is not None and reply.code not in PASSING:
                return reply
            if retries:
                await asyncio.sleep(self.rng.uniform(0.3, 1.0))
        # Full queues and workers that are away refuse, and nothing is queued.
        if reply is None or reply.code in ("queue_unavailable", "not_durable"):
            self.ledger.num_in_doubt += 1
        return None

    async def follow(self, job_id: str, most_s: float) -> Reply | None:
        """Ask now and then how a job stands, until it has ended or the time is over."""
        until = time.monotonic() + most_s
        while True:
            reply = await self.ask("GET", f"/v1/jobs/{job_id}")
            if reply is not None and reply.document.get("state") in FINAL:
                self.ledger.see(job_id, reply.document.get("result"))
                return reply
            if self.is_over or time.monotonic() > until:
                return reply
            await asyncio.sleep(self.rng.uniform(0.2, 1.0))
