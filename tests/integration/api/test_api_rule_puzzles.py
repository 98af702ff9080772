"""Sudokus and mazes over HTTP: what is taken, and each refusal with its place."""

import asyncio
import json
from typing import Any

import httpx
import pytest
from conftest import DEMO, Worker

from augment import parse_task
from service.api.examples import MAZE, SUDOKU, TASK
from service.wire.checkpoint import Finding
from service.wire.task import Maze, Sudoku

pytestmark = pytest.mark.anyio

TEXT = SUDOKU["sudoku"]
GRIDS = DEMO.model_copy(
    update={
        "name": "grids",
        "sha256": "c" * 64,
        "kind": "sudoku",
        "canvas": 9,
        "puzzles": 0,
        "finding": Finding.CHECKED,
        "base": False,
    }
)
WAYS = GRIDS.model_copy(update={"name": "ways", "sha256": "b" * 64, "kind": "maze", "canvas": 30})


@pytest.fixture
async def ready(client: httpx.AsyncClient, worker: Worker) -> httpx.AsyncClient:
    """Return a client of a service whose worker answers all three kinds."""
    worker.register(DEMO, GRIDS, WAYS)
    return client


async def refusal(client: httpx.AsyncClient, body: dict[str, Any]) -> tuple[int, str, str, str]:
    answer = await client.post("/v1/jobs", json=body)
    problem = answer.json()
    (fault,) = problem["errors"]
    return answer.status_code, problem["code"], fault["pointer"], fault["detail"]


@pytest.mark.parametrize(("body", "model"), [(SUDOKU, Sudoku), (MAZE, Maze)])
async def test_a_puzzle_is_queued_as_it_was_sent(
    ready: httpx.AsyncClient, worker: Worker, body: dict[str, Any], model: Any
) -> None:
    answer = await ready.post("/v1/jobs", json=body | {"name": "mine", "options": {"seed": 3}})

    assert answer.status_code == 202, answer.text
    task = (await ready.get(answer.json()["links"]["task"])).json()
    assert task == body | {"name": "mine"}
    model.model_validate_json(json.dumps(task), strict=True)
    claim = await asyncio.to_thread(worker.claim)
    assert parse_task(json.loads(claim.task), "x") == parse_task(body | {"name": "mine"}, "x")


async def test_rows_of_digits_are_queued_as_text(ready: httpx.AsyncClient) -> None:
    digits = [[int(sign) for sign in TEXT.replace(".", "0")[at : at + 9]] for at in range(0, 81, 9)]
    job = (await ready.post("/v1/jobs", json={"sudoku": digits})).json()

    assert (await ready.get(job["links"]["task"])).json()["sudoku"] == TEXT


@pytest.mark.parametrize(
    ("body", "pointer", "words"),
    [
        ({"sudoku": TEXT[:80]}, "/sudoku", "80 characters"),
        ({"sudoku": "55" + TEXT[2:]}, "/sudoku", "5 is given twice in row 1"),
        ({"sudoku": "12345678." + "." * 17 + "9" + "." * 54}, "/sudoku", "has no solution"),
        ({"sudoku": TEXT, "train": []}, "/train", "is not known here"),
        ({"sudoku": TEXT, "answer": "1"}, "/answer", "1 characters"),
        ({"maze": ["  G"]}, "/maze", "0 cells are the start S"),
        ({"maze": ["S  "]}, "/maze", "0 cells are the goal G"),
        ({"maze": ["S#G"]}, "/maze", "no way leads from S to G"),
    ],
)
async def test_what_is_wrong_is_refused_at_its_place(
    ready: httpx.AsyncClient, body: dict[str, Any], pointer: str, words: str
) -> None:
    status, code, found, detail = await refusal(ready, body)

    assert (status, code, found) == (422, "invalid_request", pointer)
    assert words in detail


@pytest.mark.parametrize(
    ("body", "checkpoint", "words"),
    [
        (SUDOKU, "demo", "answers ARC puzzles, and this is not one"),
        (TASK, "grids", "answers Sudoku puzzles, and this is not one"),
        (MAZE, "grids", "answers Sudoku puzzles, and this is not one"),
    ],
)
async def test_a_checkpoint_of_another_kind_is_refused(
    ready: httpx.AsyncClient, body: dict[str, Any], checkpoint: str, words: str
) -> None:
    named = body | {"options": {"checkpoint": checkpoint}}
    status, code, pointer, detail = await refusal(ready, named)

    assert (status, code, pointer) == (422, "unsolvable", "/options/checkpoint")
    assert words in detail


async def test_a_kind_that_nobody_serves_is_refused(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/jobs", json=MAZE)

    assert (answer.status_code, answer.json()["code"]) == (422, "unsolvable")
    assert "no checkpoint for maze puzzles is served" in answer.json()["detail"]


async def test_a_batch_may_mix_kinds(ready: httpx.AsyncClient) -> None:
    challenges = {"a": TASK, "s": SUDOKU, "m": MAZE, "wrong": {"sudoku": "5"}}
    batch = (await ready.post("/v1/batches", json={"challenges": challenges})).json()

    assert batch["counts"] == batch["counts"] | {"queued": 3}
    assert [one["puzzle"] for one in batch["puzzles"] if one.get("error")] == ["wrong"]


async def test_checkpoints_say_which_kind_they_answer(ready: httpx.AsyncClient) -> None:
    listed = (await ready.get("/v1/checkpoints")).json()["checkpoints"]

    kinds = {one["name"]: (one["kind"], one["base"], one["verified"]) for one in listed}
    assert kinds["grids"] == ("sudoku", False, True)
    assert kinds["demo"][0] == "arc"
