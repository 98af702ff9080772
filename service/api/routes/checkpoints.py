"""`/v1/checkpoints`: what the workers serve, and which puzzles that knows."""

import json
import re
from typing import Annotated, Final
from urllib.parse import quote

from fastapi import APIRouter, Path, Query
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from augment import task_document
from service.api.answers import (
    json_answer,
    link_to,
    model_answer,
    next_page,
    problems,
    response_doc,
)
from service.api.context import Known
from service.api.fleet import Fleet, Sighting
from service.api.public_tasks import find_public_task
from service.api.schemas import PuzzlesQuery
from service.jobs import CheckpointRecord
from service.wire.checkpoint import (
    Checkpoint,
    CheckpointLinks,
    CheckpointList,
    PuzzleDetail,
    PuzzleList,
)
from service.wire.errors import UnknownCheckpoint, UnknownPuzzle

router = APIRouter(tags=["checkpoints"])

CheckpointName = Annotated[str, Path(description="A checkpoint's name.", examples=["demo"])]
DemonstrationsHash = Annotated[
    str, Path(description="`demonstrations_sha256` of a listed puzzle.", examples=["a1b2" * 16])
]
_HASH: Final = re.compile(r"[0-9a-f]{64}")


@router.get(
    "/v1/checkpoints",
    operation_id="list_checkpoints",
    summary="List the checkpoints served",
    response_class=Response,
    responses={
        200: response_doc(
            CheckpointList,
            "What the workers serve now.",
        ),
        **problems("queue_unavailable"),
    },
)
async def list_checkpoints(call: Known) -> Response:
    """List the checkpoints that workers serve, by name."""
    fleet = call.context.fleet
    seen = await fleet.look()
    return model_answer(
        CheckpointList(
            checkpoints=tuple(
                _document(record, seen, fleet) for record in seen.checkpoints.values()
            )
        )
    )


@router.get(
    "/v1/checkpoints/{name}",
    operation_id="get_checkpoint",
    summary="Look a checkpoint up",
    response_class=Response,
    responses={
        200: response_doc(Checkpoint, "The checkpoint."),
        **problems("unknown_checkpoint", "not_found", "queue_unavailable"),
    },
)
async def get_checkpoint(call: Known, name: CheckpointName) -> Response:
    """Return what a checkpoint is, and what its self-test found."""
    fleet = call.context.fleet
    seen = await fleet.look()
    return model_answer(_document(_served(name, seen), seen, fleet))


@router.get(
    "/v1/checkpoints/{name}/puzzles",
    operation_id="list_puzzles",
    summary="List the puzzles that a checkpoint knows",
    response_class=Response,
    responses={
        200: response_doc(PuzzleList, "Puzzles by name.", headers=("Link",)),
        **problems(
            *("unknown_checkpoint", "not_found", "invalid_request"),
            *("not_ready", "queue_unavailable"),
        ),
    },
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
    document = PuzzleList(
        puzzles=page.puzzles,
        total=page.total,
        next=following,
    )
    return json_answer(document.model_dump_json().encode(), headers=link_to(following))


@router.get(
    "/v1/checkpoints/{name}/puzzles/{demonstrations_sha256}",
    operation_id="get_puzzle",
    summary="Look up a puzzle that a checkpoint knows",
    response_class=Response,
    responses={
        200: response_doc(PuzzleDetail, "The puzzle, with its grids where it is a public one."),
        **problems(
            *("unknown_checkpoint", "unknown_puzzle", "not_found", "not_ready"),
            "queue_unavailable",
        ),
    },
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
    document = {
        "name": puzzle.name,
        "demonstrations_sha256": puzzle.demonstrations_sha256,
        "variants": puzzle.variants,
        "task": None if task is None else task_document(task),
    }
    return json_answer(json.dumps(document).encode())


def _served(name: str, seen: Sighting) -> CheckpointRecord:
    checkpoint = seen.checkpoints.get(name)
    if checkpoint is None:
        served = ", ".join(seen.checkpoints) or "none at all now"
        raise UnknownCheckpoint(f"no worker serves a checkpoint {name[:200]!r}; there are {served}")
    return checkpoint


def _document(record: CheckpointRecord, seen: Sighting, fleet: Fleet) -> Checkpoint:
    path = _path(record.name)
    return Checkpoint(
        **dict(record),
        verified=record.finding.is_verified,
        workers=seen.count_servers(record.name),
        default=record.name == fleet.default_name(seen),
        links=CheckpointLinks(self=path, puzzles=f"{path}/puzzles"),
    )


def _path(name: str) -> str:
    return f"/v1/checkpoints/{quote(name, safe='')}"
