"""The table of problems: no error that a request can meet is without a status."""

import json

import pytest

from augment import AugmentError, CanvasError, PuzzleError
from service.api.problems import (
    CODES,
    Problem,
    problem_of,
    problem_of_status,
)
from service.wire import errors
from service.wire.options import InvalidOptions
from service.wire.problem import Fault

# Roots, which nobody raises, and errors that only a start, a command or the worker can meet.
NOT_IN_REQUESTS = {
    "AugmentError",
    "VariantNameError",  # names of variants are written by training, and read by the worker
    "ServiceError",
    "InputError",
    "DatasetError",
    "AdaptationError",
    "PuzzleIndexError",
    "AlignmentError",
    "SettingsError",
    "EmbeddedServerError",
    "ClientError",
    "HubError",
    "PictureError",
}


def all_below(root: type[Exception]) -> set[type[Exception]]:
    below = {error for child in root.__subclasses__() for error in all_below(child)}
    return {root} | below


def test_every_error_that_a_request_can_meet_has_a_status() -> None:
    rooms = ("service.wire.errors", "service.wire.options", "augment.errors")
    known = {
        error
        for root in (errors.ServiceError, AugmentError)
        for error in all_below(root)
        if error.__module__.startswith(rooms)
    }
    assert len(known) > 20
    with_code = {error for error in known if error.code != "internal"}
    without = {error for error in known if error.__name__ in NOT_IN_REQUESTS}
    assert with_code | without == known
    assert not with_code & without
    assert all(400 <= CODES[error.code][0] < 600 for error in known)


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (PuzzleError(("train", 0, "a/b"), "is wrong"), 422, "invalid_request"),
        (CanvasError(31, 3, 30), 422, "canvas_exceeded"),
        (errors.UnknownPuzzle("no rows"), 404, "unknown_puzzle"),
        (errors.UnknownCheckpoint("nobody serves it"), 404, "unknown_checkpoint"),
        (InvalidOptions((Fault("no", "/options/seed"),)), 422, "invalid_request"),
        (errors.JobNotFound("abc"), 404, "job_not_found"),
        (errors.BatchNotFound("abc"), 404, "batch_not_found"),
        (errors.AdaptedNotFound("abc"), 404, "adapted_not_found"),
        (errors.IdempotencyConflict("another body"), 422, "idempotency_conflict"),
        (errors.QueueFull("full", retry_after_s=7, is_share=False), 429, "queue_full"),
        (errors.QueueFull("full", retry_after_s=7, is_share=True), 429, "queue_share_exceeded"),
        (errors.QueueUnavailable("10.0.0.7:6379 refused"), 503, "queue_unavailable"),
        (errors.SubmissionInDoubt("10.0.0.7:6379 closed"), 503, "queue_unavailable"),
        (errors.NotDurable("abc", "10.0.0.7:6379 closed"), 503, "not_durable"),
        (errors.PuzzlesUnpublished("demo"), 503, "not_ready"),
        (Problem("body_too_large", "4 MiB"), 413, "body_too_large"),
        (errors.HubError("/secret/path"), 500, "internal"),
        (RuntimeError("secret"), 500, "internal"),
    ],
)
def test_an_error_becomes_a_problem_document(error: Exception, status: int, code: str) -> None:
    problem = problem_of(error)
    answer = problem.response()
    document = json.loads(bytes(answer.body))
    assert (answer.status_code, document["status"], document["code"]) == (status, status, code)
    assert document["type"] == f"urn:hrm-arc:problem:{code}"
    assert answer.headers["content-type"] == "application/problem+json"
    assert "secret" not in document["detail"]
    assert "10.0.0.7" not in document["detail"]
    assert ("retry-after" in answer.headers) == (status in (429, 503))


@pytest.mark.parametrize(
    ("error", "outcome", "names_the_key"),
    [
        (errors.QueueUnavailable("away"), "nothing was queued", False),
        (errors.SubmissionInDoubt("away"), "may be queued all the same", True),
        (errors.NotDurable("abc", "away"), "abc is queued and will be worked on", True),
    ],
)
def test_a_submission_that_failed_says_what_became_of_it(
    error: Exception, outcome: str, names_the_key: bool
) -> None:
    detail = problem_of(error).detail
    assert outcome in detail
    assert ("Idempotency-Key" in detail) == names_the_key


def test_a_full_queue_says_when_to_come_again() -> None:
    error = errors.QueueFull("full", retry_after_s=7, is_share=False)
    assert problem_of(error).response().headers["retry-after"] == "7"


def test_a_fault_of_a_puzzle_keeps_its_pointer() -> None:
    problem = problem_of(PuzzleError(("train", 0, "a/b"), "is wrong"))
    assert problem.document()["errors"] == [{"pointer": "/train/0/a~1b", "detail": "is wrong"}]


def test_a_stranger_s_broken_text_can_be_answered() -> None:
    problem = Problem("invalid_request", "\ud800", (Fault("x", "/\ud800"),))
    assert json.loads(bytes(problem.response().body))["detail"] == "\ud800"


@pytest.mark.parametrize(
    ("status", "code"),
    [(404, "not_found"), (405, "method_not_allowed"), (400, "invalid_json"), (418, "internal")],
)
def test_the_framework_s_own_refusals_are_problems_too(status: int, code: str) -> None:
    assert problem_of_status(status, "GET").code == code
