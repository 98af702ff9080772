"""From a batch that was asked for to one that can be queued: a job for each puzzle it can be of."""

import asyncio
from hashlib import sha256

from service.api.admission import ResolvedOptions, check_puzzle, task_bytes
from service.api.bodies import BatchBody
from service.api.context import Call
from service.api.problems import Refused as RefusedRequest
from service.api.problems import problem_of
from service.jobs import Failure, NewBatch, Refused
from service.submission.challenges import Challenge


async def make_batch(
    call: Call, asked: BatchBody, resolved: ResolvedOptions, idempotency_key: str | None
) -> NewBatch:
    """Make jobs of the puzzles that can be answered, and note of the others why they cannot.

    Raises: QueueUnavailable.
    """
    options = resolved.options.model_dump_json().encode()
    digest = sha256(call.owner.encode() + b"\0" + asked.name.encode() + b"\0")
    digest.update(options)
    puzzles: dict[str, bytes | Refused] = {}
    for challenge in asked.challenges:
        document = None if challenge.task is None else task_bytes(challenge.task)
        puzzles[challenge.puzzle_id] = await _make(call, challenge, resolved, document)
        await asyncio.sleep(0)  # a thousand of them take a second: others go on in between
        # As ASCII: an id from a stranger's file may hold what UTF-8 cannot carry.
        digest.update(f"{challenge.puzzle_id!a} {challenge.fault!a}".encode())
        digest.update(document or b"")
    return NewBatch(
        owner=call.owner,
        name=asked.name,
        options=options,
        puzzles=puzzles,
        fingerprint=digest.hexdigest(),
        deadline_s=resolved.options.deadline_s,
        idempotency_key=idempotency_key,
        share=call.context.share,
    )


async def _make(
    call: Call, challenge: Challenge, resolved: ResolvedOptions, document: bytes | None
) -> bytes | Refused:
    task, fault = challenge.task, challenge.fault
    if task is None or document is None:
        detail = "it is broken" if fault is None else f"{fault.pointer}: {fault.problem}"
        return _refused(challenge, Failure("invalid_request", detail))
    try:
        await check_puzzle(task.puzzle, resolved, call.context.fleet, call.context.settings)
    except RefusedRequest as error:
        problem = problem_of(error)
        return _refused(challenge, Failure(problem.code, problem.detail))
    return document


def _refused(challenge: Challenge, failure: Failure) -> Refused:
    inputs = tuple(tuple(map(tuple, grid.to_rows())) for grid in challenge.inputs)
    return Refused(failure, inputs)
