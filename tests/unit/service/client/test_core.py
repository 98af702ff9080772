"""The core's steps, driven with outcomes laid out beforehand: no network, no clock."""

import json
from typing import Any

import pytest
from wire_samples import (
    Drive,
    adapting_document,
    event,
    job_document,
    problem,
    progress_document,
    reply,
)

from augment import Task, task_document
from service.client import (
    JobState,
    JobUnfinished,
    JobUnsuccessful,
    Retries,
    ServiceProblem,
    ServiceUnreachable,
)
from service.client.core import MAX_MUTE_STREAMS, Core
from service.client.exchange import HangUp, Listen, NextChunk, Reply, Report

GONE = ServiceUnreachable("no answer")
STREAM = None  # what listening gives where a stream opens
END = None  # what reading gives at a stream's end
RETRIES = Retries(most=3, first_pause_s=0.1, longest_pause_s=10.0)
TASK: dict[str, Any] = {"train": [], "test": [], "name": "square"}


def core(drive: Drive) -> Core:
    return Core(RETRIES, drive.clock)


def queued(**more: Any) -> Any:
    return reply(job_document("queued", **more), 202)


def succeeded() -> Any:
    return reply(job_document("succeeded"))


def state(number: int, name: str) -> bytes:
    return event(number, "state", {"id": "j1", "state": name, "attempts": 1})


def progress(number: int, outcomes: int) -> bytes:
    return event(number, "progress", progress_document(outcomes))


class TestSubmitting:
    def test_a_mapping_goes_out_as_it_is_under_the_options(self) -> None:
        drive = Drive([queued()])
        task = TASK | {"options": {"seed": 1, "variants": 4}}

        drive.take(core(drive).submit(task, {"seed": 2}))

        (request,) = drive.requests
        assert (request.method, request.path) == ("POST", "/v1/jobs")
        assert json.loads(request.content or b"") == TASK | {"options": {"seed": 2, "variants": 4}}
        assert task["options"] == {"seed": 1, "variants": 4}

    def test_tasks_and_files_go_out_with_their_names(
        self, constant_tasks: tuple[Task, ...], task_folder: Any
    ) -> None:
        task = constant_tasks[0]
        drive = Drive([queued(), queued(), queued()])

        drive.take(core(drive).submit(task, {}))
        drive.take(core(drive).submit(task_folder / "square.json", {}))
        drive.take(core(drive).submit(task.puzzle, {}))

        sent = [json.loads(request.content or b"") for request in drive.requests]
        assert sent[:2] == [task_document(task)] * 2
        assert [list(test) for test in sent[2]["test"]] == [["input"]] * 2

    def test_tries_again_bear_one_key_and_other_jobs_another(self) -> None:
        drive = Drive([GONE, problem(503, "queue_unavailable"), queued(), queued()])

        drive.take(core(drive).submit(TASK, {}))
        drive.take(core(drive).submit(TASK, {}))

        keys = [request.headers["Idempotency-Key"] for request in drive.requests]
        assert len(keys) == 4
        assert keys[0] == keys[1] == keys[2] != keys[3]

    def test_a_key_of_ones_own_is_sent(self) -> None:
        drive = Drive([queued()])

        drive.take(core(drive).submit(TASK, {}, "mine"))

        assert drive.requests[0].headers["Idempotency-Key"] == "mine"


class TestTryingAgain:
    def test_the_service_names_the_pause(self) -> None:
        drive = Drive([problem(429, "queue_full", retry_after=4), succeeded()])

        drive.take(core(drive).get("j1"))

        assert 4.0 <= drive.pauses_s[0] <= 4.1

    def test_pauses_double_and_come_to_an_end(self) -> None:
        drive = Drive([GONE] * 4)

        with pytest.raises(ServiceUnreachable):
            drive.take(core(drive).get("j1"))

        assert len(drive.requests) == 1 + RETRIES.most
        for pause_s, longest_s in zip(drive.pauses_s, (0.1, 0.2, 0.4), strict=True):
            assert longest_s / 2 <= pause_s <= longest_s

    def test_a_pause_too_long_is_not_waited_for(self) -> None:
        drive = Drive([problem(429, "queue_full", retry_after=11)])

        with pytest.raises(ServiceProblem, match="queue_full"):
            drive.take(core(drive).get("j1"))

        assert drive.pauses_s == []

    @pytest.mark.parametrize("status", [400, 401, 404, 413, 422, 500])
    def test_what_will_not_pass_is_raised_at_once(self, status: int) -> None:
        drive = Drive([problem(status, "of_some_kind", "this is why")])

        with pytest.raises(ServiceProblem, match="this is why") as caught:
            drive.take(core(drive).cancel("j1"))

        assert (caught.value.status, caught.value.code) == (status, "of_some_kind")
        assert len(drive.requests) == 1

    def test_a_proxys_gateway_timeout_passes_but_a_jobs_deadline_does_not(self) -> None:
        proxy = reply("<html>", 504)
        drive = Drive([proxy, succeeded()])
        assert drive.take(core(drive).get("j1")).id == "j1"

        drive = Drive([problem(504, "deadline_exceeded")])
        with pytest.raises(ServiceProblem):
            drive.take(core(drive).get("j1"))


class TestSolving:
    def test_one_request_is_enough_for_an_answer_soon(self) -> None:
        drive = Drive([succeeded()])

        answer = drive.take(core(drive).solve(TASK, {}, wait_s=None, wants_progress=False))

        (request,) = drive.requests
        assert request.path == "/v1/solve"
        assert request.headers["Prefer"] == "wait=50"
        assert request.patience_s == 50
        assert answer.tests[0].right

    def test_what_takes_longer_is_followed(self) -> None:
        drive = Drive([queued(), STREAM, state(1, "running"), state(2, "succeeded"), succeeded()])

        answer = drive.take(core(drive).solve(TASK, {}, wait_s=None, wants_progress=False))

        assert [request.path for request in drive.requests] == ["/v1/solve", "/v1/jobs/j1"]
        assert answer.enrolled_as == "square"

    def test_with_progress_the_stream_is_opened_at_once(self) -> None:
        drive = Drive([queued(), STREAM, progress(1, 3), state(2, "succeeded"), succeeded()])

        drive.take(core(drive).solve(TASK, {}, wait_s=None, wants_progress=True))

        assert drive.requests[0].path == "/v1/jobs"
        assert [tell.progress.outcomes for tell in drive.of(Report)] == [3]

    @pytest.mark.parametrize(("end", "code"), [("failed", "engine_failed"), ("cancelled",) * 2])
    def test_a_job_without_an_answer_is_an_error(self, end: str, code: str) -> None:
        drive = Drive([reply(job_document(end))])

        with pytest.raises(JobUnsuccessful) as caught:
            drive.take(core(drive).solve(TASK, {}, wait_s=None, wants_progress=False))

        assert caught.value.code == code
        assert caught.value.job.state == end

    def test_a_job_whose_failure_came_as_a_problem_is_the_same_error(self) -> None:
        refusal = problem(504, "deadline_exceeded", instance="/v1/jobs/j1")
        failure = {"code": "deadline_exceeded", "detail": "too late"}
        drive = Drive([refusal, reply(job_document("failed", error=failure))])

        with pytest.raises(JobUnsuccessful, match="too late") as caught:
            drive.take(core(drive).solve(TASK, {}, wait_s=None, wants_progress=False))

        assert caught.value.code == "deadline_exceeded"

    def test_the_time_to_wait_bounds_all_of_it(self) -> None:
        drive = Drive([queued(), STREAM, b": ping\n\n", reply(job_document("running"))])
        steps = core(drive).solve(TASK, {}, wait_s=20.0, wants_progress=False)

        with pytest.raises(JobUnfinished, match="running after 20 s"):
            _take_with_time(drive, steps, seconds_a_chunk=20.0)

        assert drive.requests[0].headers["Prefer"] == "wait=20"
        assert drive.of(Listen)[0].silence_s == 20.0


def _take_with_time(drive: Drive, steps: Any, seconds_a_chunk: float) -> Any:
    """Take steps while every chunk takes so long."""
    before = drive.outcomes

    class Slow(list[Any]):
        def pop(self, *place: Any) -> Any:
            if drive.effects and isinstance(drive.effects[-1], NextChunk):
                drive.now += seconds_a_chunk
            return super().pop(*place)

    drive.outcomes = Slow(before)
    return drive.take(steps)


class TestFollowing:
    def test_a_dropped_stream_is_resumed_after_the_last_event(self) -> None:
        drive = Drive(
            [
                *(STREAM, state(1, "running"), progress(2, 3), GONE),
                reply(job_document("running")),
                *(STREAM, progress(3, 5), state(4, "succeeded")),
                succeeded(),
            ]
        )

        job = drive.take(core(drive).wait("j1", None))

        first, second = drive.of(Listen)
        assert "Last-Event-ID" not in first.request.headers
        assert second.request.headers["Last-Event-ID"] == "2-0"
        assert [tell.progress.outcomes for tell in drive.of(Report)] == [3, 5]
        assert job.state is JobState.SUCCEEDED
        assert len(drive.of(HangUp)) == 2

    def test_an_adapting_job_is_followed_until_it_has_run(self) -> None:
        drive = Drive(
            [
                *(STREAM, state(1, "adapting"), event(2, "progress", adapting_document())),
                *(state(3, "running"), progress(4, 5), END),
                *(reply(job_document("adapting")), STREAM, state(5, "succeeded")),
                succeeded(),
            ]
        )

        assert drive.take(core(drive).wait("j1", None)).state is JobState.SUCCEEDED

        told = [tell.progress for tell in drive.of(Report)]
        assert [progress.adaptation is not None for progress in told] == [True, False]
        assert len(drive.of(Listen)) == 2

    def test_a_job_that_ended_meanwhile_is_not_listened_to_again(self) -> None:
        drive = Drive([STREAM, state(1, "running"), END, succeeded()])

        assert drive.take(core(drive).wait("j1", None)).state is JobState.SUCCEEDED

        assert len(drive.of(Listen)) == 1

    def test_where_no_stream_tells_anything_the_job_is_asked_for(self) -> None:
        running = reply(job_document("running"))
        mute = [GONE, running, reply("<html>", 502), running, STREAM, END, running]
        drive = Drive([*mute, *[running] * 5, succeeded()])

        assert drive.take(core(drive).wait("j1", None)).state is JobState.SUCCEEDED

        assert len(drive.of(Listen)) == MAX_MUTE_STREAMS
        assert max(drive.pauses_s) <= 2.0

    def test_signs_of_life_keep_the_stream(self) -> None:
        rounds = [STREAM, b": ping\n\n", END, reply(job_document("queued"))]
        drive = Drive([*rounds * 6, STREAM, state(1, "succeeded"), succeeded()])

        drive.take(core(drive).wait("j1", None))

        assert len(drive.of(Listen)) == 7

    def test_an_unknown_job_is_an_error(self) -> None:
        missing = problem(404, "job_not_found")
        drive = Drive([missing, missing])

        with pytest.raises(ServiceProblem, match="job_not_found"):
            drive.take(core(drive).wait("j1", None))

    def test_waiting_no_time_asks_once(self) -> None:
        drive = Drive([reply(job_document("running"))])

        with pytest.raises(JobUnfinished) as caught:
            drive.take(core(drive).wait("j1", 0.0))

        assert caught.value.job.state is JobState.RUNNING
        assert drive.of(Listen) == []

    def test_near_the_end_of_the_time_a_shorter_stream_is_opened(self) -> None:
        running = reply(job_document("running"))
        drive = Drive([STREAM, b": ping\n\n", running, STREAM, b": ping\n\n", running])

        with pytest.raises(JobUnfinished):
            _take_with_time(drive, core(drive).wait("j1", 20.0), seconds_a_chunk=15.0)

        first, second = drive.of(Listen)
        assert first.silence_s == 20.0
        assert 4.0 < second.silence_s <= 5.0


class TestAddresses:
    def test_ids_and_names_are_quoted(self) -> None:
        page = reply({"puzzles": [], "total": 0, "next": None})
        drive = Drive([succeeded(), page])

        drive.take(core(drive).get("../a b"))
        drive.take(core(drive).puzzles("de/mo", None, None))

        paths = [request.path for request in drive.requests]
        assert paths == ["/v1/jobs/..%2Fa%20b", "/v1/checkpoints/de%2Fmo/puzzles"]

    def test_adapted_checkpoints_are_listed_and_removed(self) -> None:
        drive = Drive([reply({"adapted": [], "total": 0}), Reply(204, {}, b"")])

        assert drive.take(core(drive).adapted()) == ()
        assert drive.take(core(drive).remove_adapted("a b/c")) is None

        assert [(request.method, request.path) for request in drive.requests] == [
            ("GET", "/v1/adapted"),
            ("DELETE", "/v1/adapted/a%20b%2Fc"),
        ]

    def test_lists_are_narrowed_and_paged(self) -> None:
        drive = Drive([reply({"jobs": [], "next": None})])

        drive.take(core(drive).list((JobState.FAILED, "queued"), "c1", 5))

        query = (("state", "failed"), ("state", "queued"), ("cursor", "c1"), ("limit", "5"))
        assert drive.requests[0].query == query
