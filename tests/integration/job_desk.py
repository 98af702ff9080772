"""What tests of the job layer share: jobs to submit, and the store as callers see it."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from service.jobs import JobState, JobStore, NewJob
from service.wire.options import Priority

T = TypeVar("T")


def job(
    name: str = "puzzle",
    *,
    owner: str = "anna",
    priority: Priority = "interactive",
    key: str | None = None,
    body: str = "{}",
    deadline_s: float | None = None,
    share: int | None = None,
) -> NewJob:
    return NewJob(
        owner=owner,
        name=name,
        priority=priority,
        task=body.encode(),
        options=b"{}",
        fingerprint=str(hash(body)),
        deadline_s=deadline_s,
        idempotency_key=key,
        share=share,
    )


class Desk:
    """A store that tests use without an event loop of their own: every call runs in a new one."""

    def __init__(self, url: str, **limits: Any) -> None:
        self._url, self._limits = url, limits

    def __call__(self, call: Callable[[JobStore], Coroutine[Any, Any, T]]) -> T:
        async def run() -> T:
            store = JobStore.connect(self._url, **self._limits)
            try:
                return await call(store)
            finally:
                await store.close()

        return asyncio.run(run())

    def submit(self, new: NewJob) -> str:
        return self(lambda store: store.submit(new)).job.id

    def state(self, job_id: str) -> JobState:
        return self(lambda store: store.get(job_id)).state
