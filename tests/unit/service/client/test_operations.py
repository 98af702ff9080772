"""The clients' operations with outcomes laid out beforehand: no network, no clock."""

import json
from typing import Any

import httpx
import pytest
from wire_samples import (
    RETRIES,
    STREAM,
    Drive,
    DrivenClient,
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
    Progress,
    ServiceProblem,
    ServiceUnreachable,
)
from service.client.exchange import HangUp, Listen, NextChunk
from service.client.following import MAX_MUTE_STREAMS

GONE = ServiceUnreachable("no answer")
END = None  # what reading gives at a stream's end
TASK: dict[str, Any] = {"train": [], "test": [], "name": "square"}


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

        DrivenClient(drive).submit(task, seed=2)

        (request,) = drive.requests
        assert (request.method, request.path) == ("POST", "/v1/jobs")
        assert json.loads(request.content or b"") == TASK | {"options": {"seed": 2, "variants": 4}}
        assert task["options"] == {"seed": 1, "variants": 4}

    def test_tasks_and_files_go_out_with_their_names(
        self, constant_tasks: tuple[Task, ...], task_folder: Any
    ) -> None:
        task = constant_tasks[0]
        drive = Drive([queued(), queued(), queued()])

        DrivenClient(drive).submit(task)
        DrivenClient(drive).submit(task_folder / "square.json")
        DrivenClient(drive).submit(task.puzzle)

        sent = [json.loads(request.content or b"") for request in drive.requests]
        assert sent[:2] == [task_document(task)] * 2
        assert [list(test) for test in sent[2]["test"]] == [["input"]] * 2

    def test_tries_again_bear_one_key_and_other_jobs_another(self) -> None:
        drive = Drive([GONE, problem(503, "queue_unavailable"), queued(), queued()])

        DrivenClient(drive).submit(TASK)
        DrivenClient(drive).submit(TASK)

        keys = [request.headers["Idempotency-Key"] for request in drive.requests]
        assert len(keys) == 4
        assert keys[0] == keys[1] == keys[2] != keys[3]

    def test_a_key_of_ones_own_is_sent(self) -> None:
        drive = Drive([queued()])

        DrivenClient(drive).submit(TASK, idempotency_key="mine")

        assert drive.requests[0].headers["Idempotency-Key"] == "mine"


class TestTryingAgain:
    def test_the_service_names_the_pause(self) -> None:
        drive = Drive([problem(429, "queue_full", retry_after=4), succeeded()])

        DrivenClient(drive).get("j1")

        assert 4.0 <= drive.pauses_s[0] <= 4.1

    def test_pauses_double_and_come_to_an_end(self) -> None:
        drive = Drive([GONE] * 4)

        with pytest.raises(ServiceUnreachable):
            DrivenClient(drive).get("j1")

        assert len(drive.requests) == 1 + RETRIES.most
        for pause_s, longest_s in zip(drive.pauses_s, (0.1, 0.2, 0.4), strict=True):
            assert longest_s / 2 <= pause_s <= longest_s

    def test_a_pause_too_long_is_not_waited_for(self) -> None:
        drive = Drive([problem(429, "queue_full", retry_after=11)])

        with pytest.raises(ServiceProblem, match="queue_full"):
            DrivenClient(drive).get("j1")

        assert drive.pauses_s == []

    @pytest.mark.parametrize("status", [400, 401, 404, 413, 422, 500])
    def test_what_will_not_pass_is_raised_at_once(self, status: int) -> None:
        drive = Drive([problem(status, "of_some_kind", "this is why")])

        with pytest.raises(ServiceProblem, match="this is why") as caught:
            DrivenClient(drive).cancel("j1")

        assert (caught.value.status, caught.value.code) == (status, "of_some_kind")
        assert len(drive.requests) == 1

    def test_a_proxys_gateway_timeout_passes_but_a_jobs_deadline_does_not(self) -> None:
        proxy = reply("<html>", 504)
        drive = Drive([proxy, succeeded()])
        assert DrivenClient(drive).get("j1").id == "j1"

        drive = Drive([problem(504, "deadline_exceeded")])
        with pytest.raises(ServiceProblem):
            DrivenClient(drive).get("j1")


class TestSolving:
    def test_one_request_is_enough_for_an_answer_soon(self) -> None:
        drive = Drive([succeeded()])

        answer = DrivenClient(drive).solve(TASK)

        (request,) = drive.requests
        assert request.path == "/v1/solve"
        assert request.headers["Prefer"] == "wait=50"
        assert request.patience_s == 50
        assert answer.tests[0].right

    def test_what_takes_longer_is_followed(self) -> None:
        drive = Drive([queued(), STREAM, state(1, "running"), state(2, "succeeded"), succeeded()])

        answer = DrivenClient(drive).solve(TASK)

        assert [request.path for request in drive.requests] == ["/v1/solve", "/v1/jobs/j1"]
        assert answer.enrolled_as == "square"

    def test_with_progress_the_stream_is_opened_at_once(self) -> None:
        drive = Drive([queued(), STREAM, progress(1, 3), state(2, "succeeded"), succeeded()])
        reported: list[Progress] = []

        DrivenClient(drive).solve(TASK, on_progress=reported.append)

        assert drive.requests[0].path == "/v1/jobs"
        assert [progress.outcomes for progress in reported] == [3]

    @pytest.mark.parametrize(("end", "code"), [("failed", "engine_failed"), ("cancelled",) * 2])
    def test_a_job_without_an_answer_is_an_error(self, end: str, code: str) -> None:
        drive = Drive([reply(job_document(end))])

        with pytest.raises(JobUnsuccessful) as caught:
            DrivenClient(drive).solve(TASK)

        assert caught.value.code == code
        assert caught.value.job.state == end

    def test_a_job_whose_failure_came_as_a_problem_is_the_same_error(self) -> None:
        refusal = problem(504, "deadline_exceeded", instance="/v1/jobs/j1")
        failure = {"code": "deadline_exceeded", "detail": "too late"}
        drive = Drive([refusal, reply(job_document("failed", error=failure))])

        with pytest.raises(JobUnsuccessful, match="too late") as caught:
            DrivenClient(drive).solve(TASK)

        assert caught.value.code == "deadline_exceeded"

    def test_the_time_to_wait_bounds_all_of_it(self) -> None:
        drive = Drive([queued(), STREAM, b": ping\n\n", reply(job_document("running"))])
        take_time(drive, seconds_a_chunk=20.0)

        with pytest.raises(JobUnfinished, match="running after 20 s"):
            DrivenClient(drive).solve(TASK, wait_s=20.0)

        assert drive.requests[0].headers["Prefer"] == "wait=20"
        assert drive.of(Listen)[0].silence_s == 20.0


def take_time(drive: Drive, seconds_a_chunk: float) -> None:
    """Make every chunk of a drive take so long."""
    before = drive.outcomes

    class Slow(list[Any]):
        def pop(self, *place: Any) -> Any:
            if drive.effects and isinstance(drive.effects[-1], NextChunk):
                drive.now += seconds_a_chunk
            return super().pop(*place)

    drive.outcomes = Slow(before)


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
        reported: list[Progress] = []

        job = DrivenClient(drive).wait("j1", on_progress=reported.append)

        first, second = drive.of(Listen)
        assert "Last-Event-ID" not in first.request.headers
        assert second.request.headers["Last-Event-ID"] == "2-0"
        assert [progress.outcomes for progress in reported] == [3, 5]
        assert job.state is JobState.SUCCEEDED
        assert len(drive.of(HangUp)) == 2

    def test_a_last_event_with_the_whole_job_is_the_answer(self) -> None:
        whole = event(2, "state", job_document("succeeded"))
        drive = Drive([STREAM, state(1, "running"), whole])

        job = DrivenClient(drive).wait("j1")

        assert job.state is JobState.SUCCEEDED
        assert drive.requests == []  # it is not asked for

    def test_events_come_once_each_and_last_with_the_whole_job(self) -> None:
        drive = Drive(
            [
                *(STREAM, state(1, "queued"), state(2, "running"), progress(3, 3), GONE),
                reply(job_document("running")),
                *(STREAM, state(2, "running"), progress(4, 5), state(5, "novel"), GONE),
                succeeded(),
            ]
        )

        events = list(DrivenClient(drive).events("j1"))  # type: ignore[call-overload]

        assert [(one.kind, one.state.value) for one in events] == [
            *(("state", "queued"), ("state", "running"), ("progress", "running")),
            *(("progress", "running"), ("state", "succeeded")),
        ]
        assert [one.progress.outcomes for one in events if one.progress] == [3, 5]
        assert [one.job is not None for one in events] == [False] * 4 + [True]
        assert events[-1].job.result is not None

    def test_events_end_with_the_time_to_wait(self) -> None:
        drive = Drive([STREAM, state(1, "queued"), END, *[reply(job_document("queued"))] * 9])
        with pytest.raises(JobUnfinished):
            DrivenClient(drive).events("j1", wait_s=0.3)
        assert [one.state.value for one in drive.emitted] == ["queued"]

    def test_an_adapting_job_is_followed_until_it_has_run(self) -> None:
        drive = Drive(
            [
                *(STREAM, state(1, "adapting"), event(2, "progress", adapting_document())),
                *(state(3, "running"), progress(4, 5), END),
                *(reply(job_document("adapting")), STREAM, state(5, "succeeded")),
                succeeded(),
            ]
        )
        reported: list[Progress] = []

        job = DrivenClient(drive).wait("j1", on_progress=reported.append)

        assert job.state is JobState.SUCCEEDED
        assert [progress.adaptation is not None for progress in reported] == [True, False]
        assert len(drive.of(Listen)) == 2

    def test_a_job_that_ended_meanwhile_is_not_listened_to_again(self) -> None:
        drive = Drive([STREAM, state(1, "running"), END, succeeded()])

        assert DrivenClient(drive).wait("j1").state is JobState.SUCCEEDED

        assert len(drive.of(Listen)) == 1

    def test_the_job_is_polled_where_no_stream_comes(self) -> None:
        running = reply(job_document("running"))
        mute = [GONE, running, reply("<html>", 502), running, STREAM, END, running]
        drive = Drive([*mute, *[running] * 5, succeeded()])

        assert DrivenClient(drive).wait("j1").state is JobState.SUCCEEDED

        assert len(drive.of(Listen)) == MAX_MUTE_STREAMS
        assert max(drive.pauses_s) <= 2.0

    def test_signs_of_life_keep_the_stream(self) -> None:
        rounds = [STREAM, b": ping\n\n", END, reply(job_document("queued"))]
        drive = Drive([*rounds * 6, STREAM, state(1, "succeeded"), succeeded()])

        DrivenClient(drive).wait("j1")

        assert len(drive.of(Listen)) == 7

    def test_an_unknown_job_is_an_error(self) -> None:
        missing = problem(404, "job_not_found")
        drive = Drive([missing, missing])

        with pytest.raises(ServiceProblem, match="job_not_found"):
            DrivenClient(drive).wait("j1")

    def test_waiting_no_time_asks_once(self) -> None:
        drive = Drive([reply(job_document("running"))])

        with pytest.raises(JobUnfinished) as caught:
            DrivenClient(drive).wait("j1", wait_s=0.0)

        assert caught.value.job.state is JobState.RUNNING
        assert drive.of(Listen) == []

    def test_near_the_end_of_the_time_a_shorter_stream_is_opened(self) -> None:
        running = reply(job_document("running"))
        drive = Drive([STREAM, b": ping\n\n", running, STREAM, b": ping\n\n", running])

        take_time(drive, seconds_a_chunk=15.0)

        with pytest.raises(JobUnfinished):
            DrivenClient(drive).wait("j1", wait_s=20.0)

        first, second = drive.of(Listen)
        assert first.silence_s == 20.0
        assert 4.0 < second.silence_s <= 5.0


class TestAddresses:
    def test_ids_and_names_are_quoted(self) -> None:
        page = reply({"puzzles": [], "total": 0, "next": None})
        drive = Drive([succeeded(), page])

        DrivenClient(drive).get("../a b")
        DrivenClient(drive).puzzles("de/mo")

        paths = [request.path for request in drive.requests]
        assert paths == ["/v1/jobs/..%2Fa%20b", "/v1/checkpoints/de%2Fmo/puzzles"]

    def test_adapted_checkpoints_are_listed_and_removed(self) -> None:
        drive = Drive([reply({"adapted": [], "total": 0}), httpx.Response(204)])

        assert DrivenClient(drive).adapted() == ()
        assert DrivenClient(drive).remove_adapted("a b/c") is None

        assert [(request.method, request.path) for request in drive.requests] == [
            ("GET", "/v1/adapted"),
            ("DELETE", "/v1/adapted/a%20b%2Fc"),
        ]

    def test_a_reload_is_waited_for_as_long_as_is_wanted(self) -> None:
        def listed(reloading: int) -> httpx.Response:
            return reply({"checkpoints": [], "refused": {}, "reloading": reloading})

        drive = Drive([listed(2), listed(1), listed(0), listed(2)])

        assert DrivenClient(drive).reload_checkpoints().reloading == 0
        assert DrivenClient(drive).reload_checkpoints(wait_s=0).reloading == 2

        assert [(request.method, request.path) for request in drive.requests] == [
            ("POST", "/v1/checkpoints/reload"),
            ("GET", "/v1/checkpoints"),
            ("GET", "/v1/checkpoints"),
            ("POST", "/v1/checkpoints/reload"),
        ]

    def test_lists_are_narrowed_and_paged(self) -> None:
        drive = Drive([reply({"jobs": [], "next": None})])

        DrivenClient(drive).list(states=(JobState.FAILED, "queued"), after="c1", limit=5)

        query = (("state", "failed"), ("state", "queued"), ("cursor", "c1"), ("limit", "5"))
        assert drive.requests[0].query == query
