"""What well-behaved callers do: one function for each kind of request, chosen at random."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import httpx

from service.jobs import JobStore
from service.wire.errors import QueueError, QueueUnavailable
from soak.caller import FINAL, Caller
from soak.ledger import SUCCEEDED, as_document
from soak.puzzles import ADAPTING, NUM_UNKNOWN, Question, sudoku_question, unknown_task

CANCELLED = frozenset({"cancelled"})
OVERDUE = frozenset({"deadline_exceeded"})
FOLLOW_S = 20.0

Action = Callable[["Callers"], Awaitable[None]]


class Callers(Caller):
    """The callers of the load, with the questions they ask and the store of an operator."""

    def __init__(self, *args: Any, questions: list[Question], store: JobStore) -> None:
        super().__init__(*args)
        self.questions, self.store = questions, store
        self.overdue: list[str] = []

    @property
    def question(self) -> Question:
        """One of the known questions."""
        return self.rng.choice(self.questions)


async def solve(callers: Callers) -> None:
    """Wait for an answer, now and then for a second at a time: a long poll with one key."""
    asked = callers.question
    wait = callers.rng.choice(("wait=20", "wait=1", "wait=0"))
    await callers.submit(asked.body, asked.key, path="/v1/solve", prefer=wait)


async def poll(callers: Callers) -> None:
    """Submit a job and ask how it stands until it has ended."""
    asked = callers.question
    job_id = await callers.submit(asked.body, asked.key)
    if job_id is not None:
        await callers.follow(job_id, FOLLOW_S)


async def forget(callers: Callers) -> None:
    """Submit a job without a key, and never ask again."""
    asked = callers.question
    await callers.submit(asked.body, asked.key, retries=False)


async def listen(callers: Callers) -> None:
    """Follow a job by its events, resumed where they break off."""
    asked = callers.question
    job_id = await callers.submit(asked.body, asked.key)
    last_id = ""
    for _ in range(20 if job_id is not None else 0):
        try:
            headers = {"Last-Event-ID": last_id} if last_id else {}
            path = f"/v1/jobs/{job_id}/events"
            async with callers.http.stream("GET", path, headers=headers) as response:
                if response.status_code == 204:
                    return
                data = ""
                async for line in response.aiter_lines():
                    name, _, text = line.partition(": ")
                    last_id = text if name == "id" else last_id
                    data = text if name == "data" else data
                    document = as_document(data.encode()) if not line else {}
                    if document.get("state") in FINAL:
                        callers.ledger.see(str(job_id), document.get("result"))
                        return
        except httpx.HTTPError:
            callers.ledger.replies["events broke off"] += 1
        if callers.is_over:
            return
        await asyncio.sleep(0.5)


async def refuse(callers: Callers) -> None:
    """Ask what no checkpoint knows."""
    task = unknown_task(callers.rng.randrange(NUM_UNKNOWN))
    if callers.rng.random() < 0.5:
        options, code = {"adapt": "never"}, "unknown_puzzle"
    else:
        options, code = {"checkpoint": "none"}, "unknown_checkpoint"
    reply = await callers.ask(
        "POST", "/v1/jobs", expects=frozenset({code}), json=task | {"options": options}
    )
    if reply is not None and reply.is_accepted:
        callers.ledger.surprise(f"a puzzle with {options} was accepted: {reply.document}")


async def adapt(callers: Callers) -> None:
    """Ask what a checkpoint is adapted to first."""
    task = unknown_task(callers.rng.randrange(NUM_UNKNOWN))
    job_id = await callers.submit(task | {"options": ADAPTING})
    if job_id is not None and callers.rng.random() < 0.5:
        await callers.follow(job_id, FOLLOW_S)


async def ask_sudoku(callers: Callers) -> None:
    """Ask a puzzle with rules."""
    asked = sudoku_question()
    await callers.submit(asked.body, asked.key, path="/v1/solve", prefer="wait=5")


async def cancel(callers: Callers) -> None:
    """Submit a job and cancel it, once or twice."""
    asked = callers.question
    job_id = await callers.submit(asked.body, asked.key, may_end=SUCCEEDED | CANCELLED)
    if job_id is not None:
        await callers.sleep(1.0)
        for _ in range(callers.rng.choice((1, 2))):
            await callers.ask("DELETE", f"/v1/jobs/{job_id}")


async def hurry(callers: Callers) -> None:
    """Ask with a deadline that may pass, and note jobs that an operator can queue again."""
    asked = callers.question
    deadline_s = callers.rng.choice((0.02, 0.3, 3.0))
    body = asked.body | {"options": asked.body["options"] | {"deadline_s": deadline_s}}
    job_id = await callers.submit(body, asked.key, may_end=SUCCEEDED | OVERDUE)
    if job_id is not None:
        reply = await callers.follow(job_id, FOLLOW_S)
        if reply is not None and reply.document.get("state") == "failed":
            callers.overdue.append(job_id)


async def requeue(callers: Callers) -> None:
    """Queue a failed job again, as `hrm-arc jobs requeue` does."""
    if not callers.overdue:
        await hurry(callers)
        return
    job_id = callers.overdue.pop()
    known = callers.ledger.jobs[job_id]
    try:
        await callers.store.requeue(job_id)
    except QueueUnavailable:
        known.num_queued += 1  # it may have been queued all the same
    except QueueError as error:
        callers.ledger.surprise(f"job {job_id} is not queued again: {error}")
    else:
        known.num_queued += 1
        known.may_end |= SUCCEEDED


async def send_batch(callers: Callers) -> None:
    """Send some puzzles at once, one of them broken and one unknown; sometimes cancel them."""
    chosen = callers.rng.sample(callers.questions, callers.rng.randint(2, 8))
    challenges: dict[str, Any] = {}
    for number, asked in enumerate(chosen):
        challenges[f"p{number}"] = {name: asked.body[name] for name in ("train", "test")}
    challenges["broken"] = {"train": [], "test": 1}
    challenges["unknown"] = {k: v for k, v in unknown_task(0).items() if k != "name"}
    body = {"challenges": challenges, "options": {"adapt": "never"}, "name": "batch"}
    headers = {"Idempotency-Key": f"soak-{callers.rng.getrandbits(64):x}"}
    reply = await callers.until_known(
        lambda: callers.ask("POST", "/v1/batches", json=body, headers=headers), retries=True
    )
    if reply is None or not reply.is_accepted:
        return
    is_cancelled = callers.rng.random() < 0.3
    batch_id, job_ids = reply.document["id"], []
    for puzzle in reply.document["puzzles"]:
        if puzzle["job"] is not None:
            job_ids.append(puzzle["job"])
            # The first of the options: none.
            name = chosen[int(puzzle["puzzle"][1:])].body["name"]
            callers.ledger.accept(
                puzzle["job"], f"{name}-0", SUCCEEDED | (CANCELLED if is_cancelled else set())
            )
    if len(job_ids) != len(chosen):
        callers.ledger.surprise(f"of {len(chosen)} puzzles {len(job_ids)} became jobs")
    callers.ledger.batches[batch_id] = tuple(job_ids)
    if is_cancelled:
        await callers.sleep(1.0)
        await callers.ask("DELETE", f"/v1/batches/{batch_id}")
    else:
        await callers.ask("GET", f"/v1/batches/{batch_id}/submission.json")


async def look_around(callers: Callers) -> None:
    """Ask for lists and counts."""
    paths = ("/v1/jobs", "/v1/batches", "/v1/checkpoints", "/v1/adapted", "/metrics")
    await callers.ask("GET", callers.rng.choice(paths))


async def reload(callers: Callers) -> None:
    """Ask the workers to look at their checkpoints again."""
    await callers.ask("POST", "/v1/checkpoints/reload")


# With how often each is chosen.
ACTIONS: dict[Action, int] = {
    solve: 20,
    poll: 12,
    forget: 8,
    listen: 10,
    refuse: 5,
    adapt: 4,
    ask_sudoku: 4,
    cancel: 8,
    hurry: 8,
    requeue: 6,
    send_batch: 5,
    look_around: 4,
    reload: 1,
}


async def undisturbed_answers(callers: Callers) -> dict[str, Any]:
    """Return what is answered to every question while nothing is killed, as JSON text."""
    answers = {}
    for asked in (*callers.questions, sudoku_question()):
        reply = await callers.ask(
            "POST", "/v1/solve", json=asked.body, headers={"Prefer": "wait=60"}
        )
        if reply is None or reply.document.get("result") is None:
            raise RuntimeError(f"{asked.key} was not answered: {reply}")
        callers.ledger.accept(reply.document["id"], asked.key, SUCCEEDED, reply.document["result"])
        answers[asked.key] = json.dumps(asked.facts_of(reply.document["result"]))
    return answers


def poisoned(question: Question, seed: int) -> dict[str, Any]:
    """Return the body of a job that crashes its worker."""
    return question.body | {"options": {"seed": seed, "variants": 2, "stop_early": False}}
