"""From replies to values and errors."""

from datetime import UTC, datetime

import httpx
import pytest
from wire_samples import (
    adapting_document,
    answer_document,
    job_document,
    member_document,
    problem,
    progress_document,
    reply,
    share_document,
)

from augment import Grid
from service.api.examples import ADAPTED
from service.client import (
    AdaptationSummary,
    BadReply,
    Fault,
    Job,
    JobPage,
    JobState,
    Progress,
    PuzzlePage,
)
from service.client.messages import problem_of, read
from service.wire.checkpoint import AdaptedList, CheckpointList

DATE = "Fri, 31 Dec 1999 23:59:59 GMT"
SQUARE = Grid.from_rows([[1, 1], [1, 1]])


def read_job(response: httpx.Response) -> Job:
    return read(Job, response.content, response.status_code)


def test_an_answer_is_read_with_its_grids() -> None:
    job = read_job(reply(job_document("succeeded")))

    assert job.state is JobState.SUCCEEDED
    assert job.created_at == datetime(2026, 11, 22, 5, tzinfo=UTC)
    assert job.result is not None
    assert job.result.attempts == ((SQUARE,),)
    test = job.result.tests[0]
    assert (test.candidates[0].grid, test.candidates[0].mean_q_halt) == (SQUARE, 0.75)
    assert (test.votes, test.abstained, test.distinct_candidates) == (5, 1, 1)
    assert (test.expected, test.right) == (SQUARE, True)
    assert (job.result.slots, job.result.verified) == (4, True)
    assert job.result.document == answer_document()


def test_an_answer_lists_single_variants_where_they_were_traced() -> None:
    document = answer_document()
    traced = {
        **{"dihedral": 3, "palette": [0, 2, 1, 3, 4, 5, 6, 7, 8, 9], "checkpoint": "demo"},
        **{"output": [[1, 1], [1, 1]], "q_halt": 0.5, "segments": 3},
    }
    predictions = [None, [[2]], [[1, 1], [1, 1]]]
    document["tests"][0]["variants"] = [
        traced | {"predictions": predictions},
        traced | {"output": None},
    ]

    job = read_job(reply(job_document("succeeded", result=document)))

    assert job.result is not None
    traces = job.result.tests[0].variants
    assert traces is not None
    assert [trace.output for trace in traces] == [SQUARE, None]
    assert (traces[0].dihedral, traces[0].palette[1], traces[0].segments) == (3, 2, 3)
    assert traces[0].predictions == (None, Grid.from_rows([[2]]), SQUARE)
    assert traces[1].predictions == ()
    assert job.result.document == document
    untraced = read_job(reply(job_document("succeeded")))
    assert untraced.result is not None
    assert untraced.result.tests[0].variants is None


def test_an_answer_of_several_checkpoints_lists_each() -> None:
    document = answer_document()
    adaptation = {
        **{"base": "base", "base_sha256": "cd" * 32, "steps": 300, "seconds": 118.2},
        **{"variants": 64, "held_out_share": None, "held_out_note": "two demonstrations"},
        **{"stopped_early": False, "reused": True},
    }
    document["adaptation"] = adaptation
    document["members"] = [
        member_document("base", enrolment="adapted", adaptation=adaptation),
        member_document("demo"),
    ]
    test = document["tests"][0]
    test["shares"] = [share_document("base", 3), share_document("demo", 2)]
    test["candidates"][0]["by_checkpoint"] = {"base": 3, "demo": 2}

    answer = read_job(reply(job_document("succeeded", result=document))).result

    assert answer is not None
    assert answer.adaptation == AdaptationSummary(**adaptation)
    assert [(member.checkpoint, member.adaptation) for member in answer.members] == [
        ("base", answer.adaptation),
        ("demo", None),
    ]
    assert [(share.checkpoint, share.votes) for share in answer.tests[0].shares] == [
        ("base", 3),
        ("demo", 2),
    ]
    assert answer.tests[0].candidates[0].by_checkpoint == {"base": 3, "demo": 2}


def test_an_answer_of_before_there_were_ensembles_is_read() -> None:
    document = answer_document()
    del document["members"], document["adaptation"], document["tests"][0]["shares"]

    answer = read_job(reply(job_document("succeeded", result=document))).result

    assert answer is not None
    assert (answer.members, answer.adaptation, answer.tests[0].shares) == ((), None, ())


def test_a_failure_is_read() -> None:
    job = read_job(reply(job_document("failed")))

    assert job.result is None
    assert job.error is not None
    assert (job.error.code, job.error.detail) == ("engine_failed", "it broke")


def test_members_of_later_versions_are_passed_over() -> None:
    job = read_job(reply(job_document(novelty={"a": 1}, options={"seed": 3, "novelty": True})))
    assert job.id == "j1"
    assert job.options is not None
    assert job.options.seed == 3


def test_progress_is_read_with_and_without_votes() -> None:
    document = progress_document(3)
    whole = read(Progress, reply(document).text)
    del document["tests"]
    short = read(Progress, reply(document).text)

    assert (whole.outcomes, whole.asked) == (3, 8)
    assert whole.tests[0].candidates[0].grid == Grid.from_rows([[2]])
    assert (short.outcomes, short.tests) == (3, ())


def test_the_progress_of_an_adaptation_is_read() -> None:
    job = read_job(reply(job_document("adapting", progress=adapting_document())))

    assert job.state is JobState.ADAPTING
    assert not job.state.is_final
    assert job.progress is not None
    assert job.progress.adaptation is not None
    adaptation = job.progress.adaptation
    assert (adaptation.phase, adaptation.steps, adaptation.loss) == ("all", 120, None)
    assert read(Progress, reply(progress_document(3)).text).adaptation is None


def test_adapted_checkpoints_are_read() -> None:
    (adapted,) = read(AdaptedList, reply({"adapted": [ADAPTED], "total": 1}).content).adapted

    assert (adapted.id, adapted.bytes) == (ADAPTED["id"], 14_200_000)
    assert (adapted.variants, adapted.steps, adapted.complete) == (64, 300, True)
    assert adapted.made_at == datetime(2026, 11, 22, 9, 32, 0, 500_000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("address", "cursor"), [(None, None), ("/v1/jobs?limit=2&cursor=a%2Fb&state=queued", "a/b")]
)
def test_a_page_gives_the_cursor_of_the_next(address: str | None, cursor: str | None) -> None:
    summary = job_document("succeeded")
    del summary["result"]

    page = read(JobPage, reply({"jobs": [summary], "next": address}).content)

    assert page.next == cursor
    assert page.jobs[0].result is None


def test_checkpoints_and_puzzles_are_read() -> None:
    checkpoint = {
        **{"name": "demo", "sha256": "ab", "architecture": "hrm", "canvas": 6},
        **{"parameters": 9, "rows": 8, "puzzles": 2, "halt_max_steps": 4, "verified": True},
        **{"finding": "aligned", "verdict": "aligned", "workers": 1, "default": True},
    }
    puzzle = {"name": "square", "demonstrations_sha256": "cd", "variants": 6}

    (found,) = read(CheckpointList, reply({"checkpoints": [checkpoint]}).content).checkpoints
    page = read(PuzzlePage, reply({"puzzles": [puzzle], "total": 1, "next": None}).content)

    assert (found.rows, found.puzzles, found.verified, found.default) == (
        8,
        2,
        True,
        True,
    )
    assert (page.puzzles[0].demonstrations_sha256, page.puzzles[0].variants) == ("cd", 6)
    assert (page.total, page.next) == (1, None)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"<html>", "no JSON"),
        (b"[]", "no object"),
        (b'{"id": "j1"}', "/state"),
        (reply(job_document(state="resting")).content, "/state"),
        (b"[" * 100_000, "no JSON"),
    ],
)
def test_what_is_no_job_is_refused_with_the_place(body: bytes, said: str) -> None:
    with pytest.raises(BadReply, match=said) as caught:
        read(Job, body)

    assert caught.value.status == 200


def test_a_grid_that_is_none_is_refused_with_the_place() -> None:
    answer = answer_document()
    answer["tests"][0]["attempts"] = [[[1, 12]]]

    with pytest.raises(BadReply, match="12 is not a colour"):
        read_job(reply(job_document("succeeded", result=answer)))


def test_a_problem_carries_code_places_and_when_to_come_back() -> None:
    errors = [
        {"pointer": "/train/0/input/3/2", "detail": "is not a colour"},
        {"parameter": "Idempotency-Key", "detail": "is too long"},
    ]

    found = problem_of(
        problem(429, "queue_full", "no place", errors=errors, retry_after=3, instance="/v1/jobs/j9")
    )

    assert (found.status, found.code, found.detail) == (429, "queue_full", "no place")
    assert found.faults[1] == Fault("is too long", parameter="Idempotency-Key")
    assert found.pointers == ("/train/0/input/3/2",)
    assert (found.retry_after_s, found.job_id) == (3.0, "j9")
    assert "Idempotency-Key: is too long" in str(found)
    assert "train[0].input[3][2]: is not a colour" in str(found)


def test_an_error_says_where_in_words() -> None:
    errors = [{"pointer": "/options/ensemble/0", "detail": "has one vote"}]
    found = problem_of(
        problem(422, "invalid_request", "/options/ensemble/0: has one vote", errors=errors)
    )
    assert str(found).endswith("(422 invalid_request): option ensemble[0]: has one vote")
    assert found.pointers == ("/options/ensemble/0",)


@pytest.mark.parametrize("instance", [None, "", "/elsewhere", 7])
def test_a_problem_about_no_job_names_none(instance: object) -> None:
    assert problem_of(problem(500, "internal", instance=instance)).job_id is None


@pytest.mark.parametrize("body", [b"<html>Bad gateway</html>", b"", b"[]", b'{"detail": "x"}'])
def test_a_refusal_without_a_problem_is_unexplained(body: bytes) -> None:
    found = problem_of(httpx.Response(502, headers={"retry-after": DATE}, content=body))

    assert (found.status, found.code, found.retry_after_s) == (502, "unexplained", None)
    assert "hrm-arc service" in found.detail
