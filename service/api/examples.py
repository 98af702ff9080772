"""Examples of the OpenAPI document: a public puzzle, which arc1 knows."""

from collections.abc import Mapping
from typing import Any, Final

from service.wire.batch import BatchCounts
from service.wire.options import SolveOptions

JOB_ID: Final = "d0aXyZ2m1f3lbgYp4nQ5sA"
BATCH_ID: Final = "kQ3vT8sWc1Xn5bRy7ZpL2g"

# ARC puzzle 6150a2bd.
TASK: Final[dict[str, Any]] = {
    "train": [
        {"input": [[3, 3, 8], [3, 7, 0], [5, 0, 0]], "output": [[0, 0, 5], [0, 7, 3], [8, 3, 3]]},
        {"input": [[5, 5, 2], [1, 0, 0], [0, 0, 0]], "output": [[0, 0, 0], [0, 0, 1], [2, 5, 5]]},
    ],
    "test": [{"input": [[6, 3, 5], [6, 8, 0], [4, 0, 0]]}],
}
NAMED_TASK: Final[dict[str, Any]] = TASK | {"name": "6150a2bd"}
TASK_WITH_OPTIONS: Final[dict[str, Any]] = NAMED_TASK | {
    "options": {"checkpoint": "arc1", "variants": 64, "stop_early": False, "deadline_s": 600},
}
TASK_TO_ADAPT_TO: Final[dict[str, Any]] = TASK | {
    "options": {"checkpoint": "arc1", "adapt": "always", "adapt_s": 120},
}
BATCH: Final[dict[str, Any]] = {
    "challenges": {"6150a2bd": TASK, "broken": {"train": [], "test": TASK["test"]}},
    "options": {"checkpoint": "arc1", "variants": 64},
    "name": "the public evaluation puzzles",
}

_GRID: Final = [[0, 0, 4], [0, 8, 6], [5, 3, 6]]
_OPTIONS: Final = SolveOptions(checkpoint="arc1").model_dump(mode="json")
QUEUED_JOB: Final[dict[str, Any]] = {
    "id": JOB_ID,
    "state": "queued",
    "name": "6150a2bd",
    "priority": "interactive",
    "created_at": "2026-11-22T09:30:00.120Z",
    "started_at": None,
    "finished_at": None,
    "attempts": 0,
    "cancel_requested": False,
    "options": _OPTIONS,
    "progress": None,
    "result": None,
    "error": None,
    "links": {
        "self": f"/v1/jobs/{JOB_ID}",
        "events": f"/v1/jobs/{JOB_ID}/events",
        "task": f"/v1/jobs/{JOB_ID}/task",
    },
}
ADAPTING_JOB: Final[dict[str, Any]] = QUEUED_JOB | {
    "state": "adapting",
    "started_at": "2026-11-22T09:30:00.122Z",
    "attempts": 1,
    "options": _OPTIONS
    | {"checkpoint": "arc1", "adapt": "always", "adapt_s": 120.0, "adapt_variants": 64},
    "progress": {
        "outcomes": 0,
        "asked": 0,
        "decided": 0,
        "test_inputs": 1,
        "tests": [],
        "adaptation": {
            "checkpoint": "arc1",
            "phase": "all",
            "used_share": 0.4,
            "steps": 120,
            "seconds": 48.2,
            "loss": 0.53,
            "right_share": 0.2,
            "held_out_share": None,
            "held_out_note": "nothing is held out of fewer than three demonstrations",
            "puzzles": 1,
            "devices": 1,
            "expected_s": 120.0,
            "remaining_s": 71.8,
        },
    },
}
_VOTES: Final = {"votes": 40, "abstained": 0}
_VARIANTS: Final = {"variants_used": 40, "variants_asked": 64, "segments": 120}
_CANDIDATE: Final = {"grid": _GRID, "count": 40, "share": 1.0}
_MEMBER: Final[dict[str, Any]] = {
    "checkpoint": "arc1",
    "checkpoint_sha256": "5f0c" * 16,
    "enrolled_as": "6150a2bd",
    "enrolment": "trained",
    "adaptation": None,
    "max_segments": 8,
    "precision": "bfloat16",
    "attention": "sdpa",
    "slots": 128,
}
_ANSWER: Final[dict[str, Any]] = _MEMBER | {
    "puzzle": "6150a2bd",
    "halting": "act",
    "ranking": "count",
    "seed": 0,
    "stop_early": True,
    "device": "cuda:0",
    "verified": True,
    "warnings": [],
    "members": [_MEMBER],
    "tests": [
        _VOTES
        | _VARIANTS
        | {
            "attempts": [_GRID],
            "candidates": [_CANDIDATE | {"mean_q_halt": 0.98}],
            "distinct_candidates": 1,
            "decided_early": True,
            "shares": [_VOTES | _VARIANTS | {"checkpoint": "arc1", "share": 1.0, "side": 4}],
        }
    ],
    "timings_s": {"queue": 0.002, "encode": 0.004, "run": 0.31, "vote": 0.006, "total": 0.322},
}
FINISHED_JOB: Final[dict[str, Any]] = QUEUED_JOB | {
    "state": "succeeded",
    "started_at": "2026-11-22T09:30:00.122Z",
    "finished_at": "2026-11-22T09:30:00.442Z",
    "attempts": 1,
    "progress": {
        "outcomes": 40,
        "asked": 64,
        "decided": 1,
        "test_inputs": 1,
        "tests": [_VOTES | {"candidates": [_CANDIDATE]}],
    },
    "result": _ANSWER,
}
_PUZZLES: Final[list[dict[str, Any]]] = [
    {"puzzle": "6150a2bd", "state": "succeeded", "job": JOB_ID, "error": None},
    {
        "puzzle": "broken",
        "state": "refused",
        "job": None,
        "error": {
            "code": "invalid_request",
            "detail": "/broken/train: 0 demonstrations; a task has 1..10",
        },
    },
]
FINISHED_BATCH: Final[dict[str, Any]] = {
    "id": BATCH_ID,
    "state": "finished",
    "name": "the public evaluation puzzles",
    "created_at": "2026-11-22T09:30:00.120Z",
    "finished_at": "2026-11-22T09:30:00.442Z",
    "cancel_requested": False,
    "options": _OPTIONS | {"variants": 64, "priority": "batch"},
    "counts": dict.fromkeys(BatchCounts.model_fields, 0)
    | {"total": 2, "succeeded": 1, "refused": 1},
    "puzzles": _PUZZLES,
    "links": {
        "self": f"/v1/batches/{BATCH_ID}",
        "events": f"/v1/batches/{BATCH_ID}/events",
        "submission": f"/v1/batches/{BATCH_ID}/submission.json",
    },
}
QUEUED_BATCH: Final[dict[str, Any]] = FINISHED_BATCH | {
    "state": "queued",
    "finished_at": None,
    "counts": FINISHED_BATCH["counts"] | {"queued": 1, "succeeded": 0},
    "puzzles": [_PUZZLES[0] | {"state": "queued"}, _PUZZLES[1]],
}
_ATTEMPTS: Final = {"attempt_1": _GRID, "attempt_2": _GRID}
_OWN_INPUT: Final = TASK["test"][0]["input"]
SUBMISSION: Final[dict[str, Any]] = {
    "6150a2bd": [_ATTEMPTS],
    "broken": [{"attempt_1": _OWN_INPUT, "attempt_2": _OWN_INPUT}],
}
SUDOKU: Final[dict[str, Any]] = {
    "sudoku": "53..7....6..195....98....6.8...6...34..8.3..17...2...6.6....28....419..5....8..79"
}
MAZE: Final[dict[str, Any]] = {"maze": ["S #  ", "#   #", "# # G"]}
CHECKPOINT: Final[dict[str, Any]] = {
    "name": "arc1",
    "sha256": "5f0c" * 16,
    "architecture": "hrm",
    "kind": "arc",
    "canvas": 30,
    "crop": True,
    "parameters": 1_051_906,
    "rows": 25_555,
    "puzzles": 400,
    "halt_max_steps": 8,
    "verified": True,
    "finding": "aligned",
    "verdict": "aligned: the rows belong to their names; 26 of 32 known demonstrations come out "
    "right",
    "base": True,
    "workers": 1,
    "default": True,
    "adapt_s": 120.0,
    "links": {"self": "/v1/checkpoints/arc1", "puzzles": "/v1/checkpoints/arc1/puzzles"},
}
ADAPTED: Final[dict[str, Any]] = {
    "id": "arc1-6150a2bd-5f0c5f0c",
    "base": "arc1",
    "base_sha256": "0c5f" * 16,
    "puzzle": "6150a2bd",
    "demonstrations_sha256": "a1b2" * 16,
    "puzzles": 1,
    "variants": 64,
    "steps": 300,
    "seconds": 118.2,
    "held_out_share": None,
    "bytes": 14_200_000,
    "made_at": "2026-11-22T09:32:00.500Z",
    "used_at": "2026-11-22T09:32:00.500Z",
    "complete": True,
    "links": {"self": "/v1/adapted/arc1-6150a2bd-5f0c5f0c"},
}

PUZZLE: Final[dict[str, Any]] = {
    "name": "6150a2bd",
    "demonstrations_sha256": "a1b2" * 16,
    "variants": 64,
    "task": NAMED_TASK,
}
_JOB_IN_LIST: Final = {name: QUEUED_JOB[name] for name in QUEUED_JOB if name != "result"}
_BATCH_IN_LIST: Final = {
    name: FINISHED_BATCH[name] for name in FINISHED_BATCH if name not in ("options", "puzzles")
}

# Of answers, by operation and status: name and document.
ANSWERS: Final[Mapping[tuple[str, int], tuple[str, Mapping[str, Any]]]] = {
    ("solve", 200): ("solved", FINISHED_JOB),
    ("solve", 202): ("queued", QUEUED_JOB),
    ("submit_job", 200): ("solved", FINISHED_JOB),
    ("submit_job", 202): ("queued", QUEUED_JOB),
    ("get_job", 200): ("adapting", ADAPTING_JOB),
    ("get_task", 200): ("6150a2bd", NAMED_TASK),
    ("get_puzzle", 200): ("a public one", PUZZLE),
    ("cancel_job", 200): ("cancelled", QUEUED_JOB | {"state": "cancelled"}),
    ("list_jobs", 200): ("the last page", {"jobs": [_JOB_IN_LIST], "next": None}),
    ("submit_batch", 200): ("solved", FINISHED_BATCH),
    ("submit_batch", 202): ("queued", QUEUED_BATCH),
    ("list_batches", 200): ("the last page", {"batches": [_BATCH_IN_LIST], "next": None}),
    ("get_batch", 200): ("solved", FINISHED_BATCH),
    ("cancel_batch", 200): ("too late to be cancelled", FINISHED_BATCH),
    ("get_submission", 200): ("of two puzzles", SUBMISSION),
    ("get_checkpoint", 200): ("arc1", CHECKPOINT),
    ("list_adapted", 200): ("one", {"adapted": [ADAPTED], "total": 1}),
    ("get_adapted", 200): ("of one puzzle", ADAPTED),
    ("list_checkpoints", 200): (
        "one",
        {"checkpoints": [CHECKPOINT], "refused": {}, "reloading": 0},
    ),
    ("reload_checkpoints", 202): (
        "two workers",
        {"checkpoints": [CHECKPOINT], "refused": {}, "reloading": 2},
    ),
}
