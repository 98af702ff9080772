"""The submission file and the report on it: valid at any moment, and right about itself."""

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from augment import Grid, Puzzle, Task, parse_task
from service.submission.challenges import Challenge, check_challenges
from service.submission.files import Journal, SubmissionFile, filled
from service.submission.report import Report, TestReport, calibration, make_report, vote_curve
from service.submission.report_page import write_report
from service.submission.run import Clock, Refusal, Run
from service.submission.votes import InputVotes, RoundVotes
from voting import Q_ONE, GridVotes, Ranking, Tally, read_submission

INPUT, RIGHT, WRONG, OTHER = (Grid.from_rows([[colour, 0]]) for colour in (1, 2, 3, 4))
DOCUMENT: dict[str, Any] = {
    name: {
        "train": [{"input": [[5, 0]], "output": [[6, 0]]}],
        "test": [{"input": INPUT.to_rows()}] * num_inputs,
    }
    for name, num_inputs in (("solved", 1), ("half", 2), ("unknown", 1), ("late", 1))
} | {"broken": {"train": [], "test": [{"input": [[7, 7]]}]}}
SOLUTIONS = {
    "solved": (RIGHT,),
    "half": (RIGHT, RIGHT),
    "unknown": (RIGHT,),
    "late": (RIGHT,),
    "broken": (RIGHT,),
}


def votes(*counts: tuple[Grid, int], abstained: int = 0) -> InputVotes:
    tally = Tally.of([GridVotes(grid, num, num * Q_ONE) for grid, num in counts], abstained)
    return InputVotes(tally, num_segments=3)


def test_the_file_is_valid_before_the_first_answer_and_after_each(tmp_path: Path) -> None:
    path = tmp_path / "submission.json"
    output = SubmissionFile(path, check_challenges(DOCUMENT))
    output.write()
    own = (INPUT, INPUT)
    broken = Grid.from_rows([[7, 7]])

    assert list(read_submission(path)) == list(DOCUMENT)
    assert read_submission(path)["half"] == (own, own)
    assert read_submission(path)["broken"] == ((broken, broken),)
    output.put("half", [(RIGHT, WRONG), ()])
    assert read_submission(path)["half"] == (own, own)
    output.write()
    assert read_submission(path)["half"] == ((RIGHT, WRONG), own)
    assert [child.name for child in tmp_path.iterdir()] == ["submission.json"]


def test_one_attempt_stands_twice() -> None:
    assert filled([INPUT, INPUT], [(RIGHT,)]) == [(RIGHT,), (INPUT,)]


def test_ids_of_any_characters_come_out_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "submission.json"
    ids = ['a"b', "\u2028", "\ud800", "ä"]
    SubmissionFile(path, [Challenge(name, None, (INPUT,)) for name in ids]).write()

    assert list(json.loads(path.read_bytes())) == ids


@pytest.fixture
def report(tmp_path: Path) -> Report:
    """Return the report on a run that answered one puzzle wholly and one in part."""
    challenges = check_challenges(DOCUMENT, SOLUTIONS)
    with Journal(tmp_path / "journal.jsonl", {}) as journal:
        output = SubmissionFile(tmp_path / "submission.json", challenges)
        run = Run(challenges, journal, output, Clock(60.0), Ranking.COUNT)
        run.refuse("unknown", Refusal("unknown_puzzle", "it has <no> rows"))
        run.record(
            RoundVotes("solved", 0, 8, (votes((RIGHT, 6), (WRONG, 2)),), True, ("demo",), 1.0)
        )
        half = (votes((WRONG, 3), (OTHER, 2), (RIGHT, 1)), votes(abstained=8))
        run.record(RoundVotes("half", 0, 8, half, True, ("demo",), 2.0))
        return make_report(run, "file.json", {"seed": 0}, SOLUTIONS, is_complete=True)


def test_what_is_not_answered_is_listed_with_its_reason(report: Report) -> None:
    document = report.document()

    reasons = {entry["puzzle"]: entry["code"] for entry in document["unanswered"]}
    assert reasons == {
        "half": "no_grid",
        "unknown": "unknown_puzzle",
        "late": "no_time",
        "broken": "invalid_task",
    }
    assert "/" not in document["unanswered"][-1]["detail"].partition(":")[0]
    assert (document["puzzles"], document["answered"], document["test_inputs"]) == (5, 1, 6)
    assert document["votes"] == 14


def test_scores_are_those_of_the_file(report: Report, tmp_path: Path) -> None:
    from voting import score

    assert report.scores == score(read_submission(tmp_path / "submission.json"), SOLUTIONS)
    assert (report.scores.solved_outputs, report.scores.num_outputs) == (1, 6)


def test_puzzles_show_confidence_and_verdict(report: Report) -> None:
    solved, half, *_, broken = report.puzzles

    assert (solved.is_right, solved.share, solved.confidence) == (True, 0.75, None)
    assert (half.is_right, half.share, half.confidence) == (False, 0.0, None)
    assert (broken.is_right, broken.tests) == (None, ())


def test_curve_and_calibration_are_of_the_inputs_with_votes(report: Report) -> None:
    last = report.curve[-1]

    assert [point.num_ballots for point in report.curve] == [1, 2, 4, 8]
    assert (last.first_share, last.two_share) == (pytest.approx(1 / 3), pytest.approx(1 / 3))
    assert [(one.num_samples, one.right_share) for one in report.first_attempts.bins] == [
        (1, 0.0),
        (1, 1.0),
    ]


def judged(expected: Grid, *counts: tuple[Grid, int], abstained: int = 0) -> TestReport:
    reported = votes(*counts, abstained=abstained)
    return TestReport(reported, reported.candidates(Ranking.COUNT), expected)


def test_one_vote_is_right_as_often_as_votes_are() -> None:
    first, *_ = vote_curve([judged(RIGHT, (RIGHT, 600), (WRONG, 400))] * 20, Ranking.COUNT)

    assert first.num_ballots == 1
    assert first.first_share == pytest.approx(0.6, abs=0.05)
    assert first.two_share == first.first_share


def test_more_votes_find_the_majority() -> None:
    shares = [
        point.first_share
        for point in vote_curve([judged(RIGHT, (RIGHT, 60), (WRONG, 40))] * 10, Ranking.COUNT)
    ]

    assert shares[-1] == 1.0
    assert shares[0] < shares[4] < shares[-1]


def test_what_nobody_voted_for_is_never_right() -> None:
    points = vote_curve([judged(OTHER, (RIGHT, 6), (WRONG, 2), abstained=8)], Ranking.Q_WEIGHTED)

    assert {point.two_share for point in points} == {0.0}
    assert vote_curve([], Ranking.COUNT) == ()
    assert vote_curve([judged(OTHER)], Ranking.COUNT) == ()


def test_a_whole_share_falls_into_the_last_bin() -> None:
    (one,) = calibration([judged(RIGHT, (RIGHT, 8))]).bins

    assert (one.low, one.high, one.mean_probability) == (0.9, 1.0, 1.0)


def test_calibration_is_of_confidence_where_every_answer_has_it() -> None:
    sure = replace(judged(RIGHT, (RIGHT, 8)), confidence=(0.35,))
    nobody = judged(RIGHT, abstained=4)
    by_confidence = calibration([sure, nobody])
    assert (by_confidence.measure, len(by_confidence.bins)) == ("confidence", 1)
    assert by_confidence.bins[0].mean_probability == 0.35
    by_votes = calibration([sure, judged(RIGHT, (WRONG, 3))])
    assert by_votes.measure == "share of the votes"
    assert [(one.num_samples, one.right_share) for one in by_votes.bins] == [(2, 0.5)]


def test_confidence_is_of_all_votes_here_and_the_service_s_there(tmp_path: Path) -> None:
    challenges = check_challenges(DOCUMENT, SOLUTIONS)
    with Journal(tmp_path / "journal.jsonl", {}) as journal:
        output = SubmissionFile(tmp_path / "submission.json", challenges)
        run = Run(challenges, journal, output, Clock(60.0), Ranking.COUNT)
        run.judges["half"] = lambda tally, grid: (tally.num_votes / 100, 0.0)
        for start, stop in ((0, 4), (4, 8)):
            two = (votes((RIGHT, 3)), votes((WRONG, 4)))
            run.record(RoundVotes("half", start, stop, two, True, ("demo",), 1.0))
        served = replace(votes((RIGHT, 6), (WRONG, 2)), confidence=(0.8, 0.1))
        run.record(RoundVotes("solved", 0, 8, (served,), True, ("demo",), 1.0))
        made = make_report(run, "file.json", {}, SOLUTIONS, is_complete=True)
    solved, half, unknown, *_ = made.puzzles
    assert (solved.confidence, half.confidence, unknown.confidence) == (0.8, 0.06, None)
    assert half.tests[1].document()["confidence"] == [0.08, 0.0]
    assert made.first_attempts.measure == "confidence"
    with Journal(tmp_path / "journal.jsonl", {}) as journal:
        assert journal.rounds[-1].votes[0].confidence == (0.8, 0.1)
    assert b"confidence" not in json.dumps(votes((RIGHT, 1)).document()).encode()


class Page(HTMLParser):
    """The elements of a page, its texts, and whether every element is closed where it should be."""

    VOID = ("meta", "img", "br", "path", "rect")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_is_whole_and_needs_nothing_beside_it(report: Report, tmp_path: Path) -> None:
    write_report(report, tmp_path / "r.json", tmp_path / "r.html")
    text = (tmp_path / "r.html").read_text(encoding="utf-8")

    page = Page(text)

    assert page.open == []
    tags = [tag for tag, _ in page.found]
    assert "script" not in tags
    assert "link" not in tags
    assert tags.count("svg") == 4  # the picture of each puzzle that is not broken
    sources = [attributes["src"] or "" for tag, attributes in page.found if tag == "img"]
    assert len(sources) == 2
    assert all(source.startswith("data:image/svg+xml;base64,") for source in sources)
    assert all(attributes["alt"] for tag, attributes in page.found if tag == "img")
    # Addresses are names of formats alone.
    assert set(re.findall(r"https?://[^\s\"']+", text)) == {"http://www.w3.org/2000/svg"}
    for reported in ("file.json", "solved", "it has <no> rows", "16.67%", "6 votes, 75%"):
        assert reported in page.text
    assert json.loads((tmp_path / "r.json").read_bytes()) == report.document()


def test_a_stranger_s_id_cannot_break_the_page(tmp_path: Path) -> None:
    name = "<img src=x onerror=alert(1)>\ud800"
    task = parse_task(DOCUMENT["solved"], "p")
    puzzle = Puzzle(name, task.puzzle.train, task.puzzle.test)
    challenges = [Challenge(name, Task(puzzle, (None,)), (INPUT,))]
    with Journal(tmp_path / "journal.jsonl", {}) as journal:
        output = SubmissionFile(tmp_path / "submission.json", challenges)
        run = Run(challenges, journal, output, Clock(None), Ranking.COUNT)
        report = make_report(run, name, {}, None, is_complete=False)
    write_report(report, tmp_path / "r.json", tmp_path / "r.html")

    page = Page((tmp_path / "r.html").read_text(encoding="utf-8"))

    assert "img" not in [tag for tag, _ in page.found]
    assert "<img src=x" in page.text
    assert report.scores is None


def test_a_time_counts_what_runs_before_have_used() -> None:
    assert Clock(None).left_s is None
    assert not Clock(None).is_over
    assert Clock(60.0, used_s=61.0).is_over
    assert 49 < (Clock(60.0, used_s=10.0).left_s or 0.0) <= 50
