"""The confidence of answers: from a calibration that fits the checkpoint, or absent."""

import json
import math
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from calibrations import calibration_document

from augment import Grid, Task
from hrm_core import Engine, open_checkpoint
from service.solving.confidence import (
    CONFIDENCE_NAME,
    FEATURES,
    AttemptFeatures,
    Calibration,
    VoteSource,
    attempt_features,
    limit_sum,
    read_calibration,
    write_calibration,
)
from service.solving.enrolment import RowIndex
from service.solving.members import Member
from service.solving.solve import Solving, solve
from service.wire.answer import AdaptationSummary, Answer
from service.wire.errors import EnrolmentError
from service.wire.options import SolveOptions
from voting import Q_ONE, GridVotes, Ranking, Tally

pytestmark = pytest.mark.usefixtures("one_thread")

INPUT, FIRST, SECOND, THIRD = (Grid.from_rows([[colour, 0]]) for colour in (1, 2, 3, 4))


def tally_of(*counts: tuple[Grid, int], abstained: int = 0, q: float = 0.5) -> Tally:
    votes = [GridVotes(grid, count, int(q * count * Q_ONE)) for grid, count in counts]
    return Tally.of(votes, abstained)


def calibration_of(sha256: str = "abc", **changes: Any) -> Calibration:
    return Calibration.model_validate(calibration_document(sha256) | changes)


def features_of(tally: Tally, source: VoteSource) -> tuple[AttemptFeatures, ...]:
    return attempt_features(tally, Ranking.COUNT, INPUT, 2, source)


def test_the_features_of_two_attempts() -> None:
    tally = tally_of((FIRST, 6), (INPUT, 3), (THIRD, 1), abstained=10)
    first, second = features_of(tally, VoteSource("adapted", 0.25))
    assert first == AttemptFeatures(
        share=0.6,
        lead=0.6 - 0.3,
        is_first=1.0,
        log_votes=math.log(11),
        abstained_share=0.5,
        mean_q=0.5,
        held_out_share=0.25,
        has_held_out=1.0,
        equals_input=0.0,
        is_trained=0.0,
    )
    assert (second.share, second.lead, second.is_first) == (0.3, pytest.approx(0.2), 0.0)
    assert second.equals_input == 1.0
    assert len(first.values) == len(FEATURES)


def test_what_is_not_known_is_marked_and_no_vote_has_no_attempt() -> None:
    (only,) = features_of(tally_of((FIRST, 4)), VoteSource("trained"))
    assert (only.held_out_share, only.has_held_out, only.is_trained) == (0.0, 0.0, 1.0)
    assert only.lead == 1.0
    assert features_of(tally_of(abstained=3), VoteSource("trained")) == ()


def test_the_held_out_share_counts() -> None:
    summary = AdaptationSummary(
        base="b",
        base_sha256="",
        steps=1,
        seconds=1.0,
        variants=1,
        puzzles=1,
        held_out_share=0.5,
        stopped_early=False,
        reused=False,
    )
    assert VoteSource.of("adapted", summary).held_out_share == 0.5
    assert VoteSource.of("trained", None) == VoteSource("trained", None)


def test_more_of_what_speaks_for_an_attempt_never_lowers_its_confidence() -> None:
    calibration = calibration_of()

    def confidence(first: int, second: int, q: float = 0.5, held_out: float = 0.0) -> float:
        tally = tally_of((FIRST, first), (SECOND, second), q=q)
        source = VoteSource("adapted", held_out)
        return calibration.confidence(tally, Ranking.COUNT, INPUT, 2, source)[0]

    by_votes = [confidence(first, 100 - first) for first in (51, 60, 75, 90, 99)]
    by_q = [confidence(60, 40, q=q) for q in (0.0, 0.2, 0.9, 1.0)]
    by_held_out = [confidence(60, 40, held_out=share) for share in (0.0, 0.1, 1.0)]
    for values in (by_votes, by_q, by_held_out):
        assert values == sorted(values)
        assert values[0] < values[-1]
        assert all(0.0 <= value <= 1.0 for value in values)


def test_attempts_are_not_right_together_more_than_once() -> None:
    assert limit_sum([0.9, 0.3, 0.2]) == pytest.approx((0.9, 0.1, 0.0))
    assert limit_sum([0.9, 0.05]) == (0.9, 0.05)
    assert limit_sum([]) == ()


def test_no_confidence_on_a_road_that_was_not_fitted() -> None:
    document = calibration_document("abc")
    roads = {"adapted": document["roads"]["adapted"]}
    calibration = calibration_of(roads=roads)
    tally = tally_of((FIRST, 3))
    assert calibration.confidence(tally, Ranking.COUNT, INPUT, 2, VoteSource("trained")) == ()
    assert len(calibration.confidence(tally, Ranking.COUNT, INPUT, 2, VoteSource("adapted"))) == 1


def test_a_calibration_is_read_as_written_and_for_its_checkpoint_only(tmp_path: Path) -> None:
    assert read_calibration(tmp_path, "abc") is None
    calibration = calibration_of()
    write_calibration(tmp_path, calibration)
    assert read_calibration(tmp_path, "abc") == calibration
    assert read_calibration(tmp_path, "another") is None


@pytest.mark.parametrize(
    "damage",
    [
        {"intercept": float("nan")},
        {"features": []},
        {"version": 2},
        {"roads": {"guessed": {"samples": 1, "right": 1, "puzzles": 1, "known_puzzles": 1}}},
    ],
)
def test_a_damaged_file_is_reported(tmp_path: Path, damage: Mapping[str, Any]) -> None:
    text = json.dumps(calibration_document("abc") | damage)
    (tmp_path / CONFIDENCE_NAME).write_text(text, encoding="utf-8")
    with pytest.raises(EnrolmentError, match="is damaged"):
        read_calibration(tmp_path, "abc")


@pytest.fixture
def answer_of(tiny_copy: Path, tiny_engine: Engine, constant_tasks: tuple[Task, ...]) -> Any:
    """Return what solves a puzzle with the folder as it is."""

    def solved(task: Task = constant_tasks[0]) -> Answer:
        member = Member.find(RowIndex(open_checkpoint(tiny_copy)), task.puzzle)
        solving = Solving(task.puzzle, [member], SolveOptions(stop_early=False))
        solve([tiny_engine], [solving])
        return solving.answer()

    return solved


def test_without_a_calibration_an_answer_has_no_confidence(
    answer_of: Callable[[], Answer], tiny_copy: Path
) -> None:
    assert not (tiny_copy / CONFIDENCE_NAME).exists()
    answer = answer_of()
    assert [test.confidence for test in answer.tests] == [(), ()]
    assert b"confidence" not in answer.to_json()
    assert b"confidence" not in answer.model_dump_json().encode()


def test_with_its_calibration_each_attempt_has_one(
    answer_of: Callable[[], Answer], tiny_copy: Path, tiny_engine: Engine
) -> None:
    write_calibration(tiny_copy, calibration_of(tiny_engine.checkpoint.sha256))
    answer = answer_of()
    for test in answer.tests:
        assert len(test.confidence) == len(test.attempts) > 0
        assert all(0.0 <= one <= 1.0 for one in test.confidence)
    document = json.loads(answer.to_json())
    assert document["tests"][0]["confidence"] == list(answer.tests[0].confidence)
    assert Answer.model_validate_json(answer.to_json()).tests[0].confidence


def test_the_calibration_of_another_checkpoint_counts_as_none(
    answer_of: Callable[[], Answer], tiny_copy: Path
) -> None:
    write_calibration(tiny_copy, calibration_of("0" * 64))
    assert answer_of().tests[0].confidence == ()


def test_an_ensemble_has_the_main_members_by_the_votes_of_all(
    tiny_engine: Engine,
    early_engine: Engine,
    early_row_index: RowIndex,
    tiny_copy: Path,
    constant_tasks: tuple[Task, ...],
) -> None:
    puzzle = constant_tasks[0].puzzle
    calibration = calibration_of(tiny_engine.checkpoint.sha256)
    write_calibration(tiny_copy, calibration)
    main = Member.find(RowIndex(open_checkpoint(tiny_copy)), puzzle, name="main")
    other = Member.find(early_row_index, puzzle, name="other")
    solving = Solving(puzzle, [main, other], SolveOptions(stop_early=False))
    solve([tiny_engine, early_engine], [solving])
    for index, test in enumerate(solving.answer().tests):
        assert test.confidence == calibration.confidence(
            solving.tallies[index], Ranking.COUNT, puzzle.test[index], 2, VoteSource("trained")
        )
    turned = Solving(puzzle, [other, main], SolveOptions(stop_early=False))
    solve([early_engine, tiny_engine], [turned])
    assert turned.answer().tests[0].confidence == ()


def test_an_adapted_checkpoint_uses_its_bases(
    tiny_copy: Path, constant_tasks: tuple[Task, ...], tmp_path: Path
) -> None:
    from service.adaptation.prepare import AdaptOptions, prepare_adaptation

    base = open_checkpoint(tiny_copy)
    calibration = calibration_of(base.sha256)
    write_calibration(tiny_copy, calibration)
    adapted = tmp_path / "adapted"
    adaptation = prepare_adaptation(
        base,
        base.config,
        [constant_tasks[0].puzzle],
        adapted,
        AdaptOptions(steps=2, num_variants=2, batch_size=4),
        device="cpu",
        num_threads=1,
    )
    adaptation.adapt(lambda progress: None)
    row_index = RowIndex(open_checkpoint(adapted))
    assert row_index.calibration == calibration
    member = Member.find(row_index, constant_tasks[0].puzzle)
    assert len(member.confidence(tally_of((FIRST, 2)), Ranking.COUNT, INPUT, 2)) == 1

    shutil.copy(adapted / CONFIDENCE_NAME, tmp_path / "kept.json")
    spoilt = calibration_document("of another base")
    (adapted / CONFIDENCE_NAME).write_text(json.dumps(spoilt), encoding="utf-8")
    assert RowIndex(open_checkpoint(adapted)).calibration is None
