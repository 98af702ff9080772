"""The answers of single variants in an answer."""

from itertools import count
from typing import Any

import numpy as np
import pytest

from augment import Grid, Puzzle, Task, Variant, encode
from hrm_core import Engine, Outcome
from service.solving import counting
from service.solving.answer import count_predictions, read_traces
from service.solving.enrolment import RowIndex
from service.solving.members import Member
from service.solving.solve import Solving, solve
from service.wire.answer import Answer, VariantTrace
from service.wire.options import SolveOptions

pytestmark = pytest.mark.usefixtures("one_thread")

NUM_VARIANTS = 6
TRACED = SolveOptions(stop_early=False, trace=True)
TURNED = Variant(3, (0, 2, 1, *range(3, 10)))


@pytest.fixture
def puzzle(constant_tasks: tuple[Task, ...]) -> Puzzle:
    """Return a puzzle with two test inputs."""
    return constant_tasks[0].puzzle


def solved(
    engines: list[Engine], members: list[Member], puzzle: Puzzle, options: SolveOptions
) -> Answer:
    solving = Solving(puzzle, members, options)
    solve(engines, [solving])
    return solving.answer()


def counted(documents: list[dict[str, Any]]) -> dict[Grid | None, int]:
    counts: dict[Grid | None, int] = {}
    for document in documents:
        grid = None if document["output"] is None else Grid.from_rows(document["output"])
        counts[grid] = counts.get(grid, 0) + 1
    return counts


def test_a_trace_has_the_variant_undone_and_none_where_it_abstained() -> None:
    grid = Grid.from_rows([[1, 2, 0], [3, 4, 5]])
    tokens = np.concatenate([encode([TURNED.apply_grid(grid)], 4), np.zeros((1, 16), np.int32)])

    outcomes = [
        Outcome("job", None, tokens[0], 0.0, 0.0, 3),
        Outcome("job", None, tokens[1], -1000.0, 0.0, 8),
    ]

    right, abstained = read_traces(outcomes, [TURNED, TURNED], "demo")

    assert right.model_dump(mode="json") == {
        "dihedral": 3,
        "palette": [0, 2, 1, 3, 4, 5, 6, 7, 8, 9],
        "checkpoint": "demo",
        "output": [[1, 2, 0], [3, 4, 5]],
        "q_halt": 0.5,
        "segments": 3,
    }
    assert (abstained.output, abstained.q_halt, abstained.segments) == (None, 0.0, 8)


def test_predictions_are_undone_as_the_output_is_and_left_out_where_there_are_none() -> None:
    grids = [Grid.from_rows([[1, 2], [3, 4]]), Grid.from_rows([[5, 2, 0]])]
    tokens = encode([TURNED.apply_grid(grid) for grid in grids], 4).astype(np.uint8)
    predictions = np.stack([np.zeros_like(tokens[0]), *tokens])
    outcome = Outcome("job", None, predictions[-1], 0.0, 0.0, 3, predictions)

    traced, untraced = read_traces(
        [outcome, outcome._replace(predictions=None)], [TURNED, TURNED], "demo"
    )

    assert traced.predictions == (None, *grids)
    document = traced.model_dump(mode="json")
    assert document["predictions"] == [None, [[1, 2], [3, 4]], [[5, 2, 0]]]
    assert VariantTrace.model_validate(document) == traced
    assert "predictions" not in untraced.model_dump(mode="json")


def test_predictions_are_what_runs_of_fewer_segments_answer(
    early_engine: Engine, early_row_index: RowIndex, puzzle: Puzzle
) -> None:
    members = [Member.find(early_row_index, puzzle)]
    fixed = TRACED.with_changes(halting="fixed")
    answers = [
        solved([early_engine], members, puzzle, fixed.with_changes(max_segments=1 + index))
        for index in range(4)
    ]

    for test_index in range(len(puzzle.test)):
        outputs = [
            [trace.output for trace in answer.tests[test_index].variants or ()]
            for answer in answers
        ]
        traces = answers[-1].tests[test_index].variants or ()
        assert [list(found) for found in zip(*(t.predictions for t in traces), strict=True)] == (
            outputs
        )
        assert len(traces) == NUM_VARIANTS


def test_an_answer_has_the_predictions_of_the_first_variants_that_fit(
    early_engine: Engine,
    early_row_index: RowIndex,
    puzzle: Puzzle,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    num_segments, side = 3, early_engine.checkpoint.config.canvas
    options = TRACED.with_changes(halting="fixed", max_segments=num_segments)
    num_bytes = len(puzzle.test) * next(
        size for size in count() if count_predictions(size, side) == 2 * num_segments
    )
    monkeypatch.setattr(counting, "MAX_PREDICTION_BYTES", num_bytes)

    answer = solved([early_engine], [Member.find(early_row_index, puzzle)], puzzle, options)

    for test in answer.tests:
        found = [len(trace.predictions) for trace in test.variants or ()]
        assert found == [num_segments] * 2 + [0] * (NUM_VARIANTS - 2)
        for trace in (test.variants or ())[:2]:
            assert trace.predictions[-1] == trace.output


def test_so_many_of_the_largest_grids_fit_their_bytes() -> None:
    num_grids = count_predictions(100_000, 30)
    largest = Grid(np.full((30, 30), 9, dtype=np.uint8))

    trace = VariantTrace(
        dihedral=0,
        palette=tuple(range(10)),
        checkpoint="demo",
        output=None,
        q_halt=0.5,
        segments=num_grids,
        predictions=(largest,) * num_grids,
    )

    document = trace.model_dump_json(include={"predictions"})
    assert 70_000 < len(document) < 100_000


def test_traces_add_up_to_the_votes_and_the_segments(
    early_engine: Engine, early_row_index: RowIndex, puzzle: Puzzle
) -> None:
    answer = solved([early_engine], [Member.find(early_row_index, puzzle)], puzzle, TRACED)

    for test, document in zip(answer.tests, answer.document["tests"], strict=True):
        variants = document["variants"]
        votes: dict[Grid | None, int] = {c.grid: c.count for c in test.candidates}
        if test.abstained:
            votes[None] = test.abstained
        assert counted(variants) == votes
        assert sum(variant["segments"] for variant in variants) == test.segments
        found = [Variant(v["dihedral"], tuple(v["palette"])) for v in variants]
        assert found == list(Member.find(early_row_index, puzzle).puzzle_rows.variants)


def test_an_answer_contains_single_variants_only_when_asked(
    tiny_engine: Engine, tiny_row_index: RowIndex, puzzle: Puzzle
) -> None:
    options = TRACED.with_changes(trace=False)
    answer = solved([tiny_engine], [Member.find(tiny_row_index, puzzle)], puzzle, options)

    assert all("variants" not in document for document in answer.document["tests"])


def test_of_a_vote_that_ends_early_only_the_ballots_are_traced(
    tiny_engine: Engine, tiny_row_index: RowIndex, puzzle: Puzzle
) -> None:
    options = TRACED.with_changes(attempts=1, stop_early=True)
    answer = solved([tiny_engine], [Member.find(tiny_row_index, puzzle)], puzzle, options)

    assert any(test.decided_early for test in answer.tests)
    for test in answer.tests:
        assert test.variants is not None
        assert len(test.variants) == test.variants_used


def test_no_more_variants_are_traced_than_the_limit_the_main_checkpoints_first(
    tiny_engine: Engine,
    tiny_row_index: RowIndex,
    early_engine: Engine,
    early_row_index: RowIndex,
    puzzle: Puzzle,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(counting, "MAX_TRACED", NUM_VARIANTS + 2)
    members = [
        Member.find(tiny_row_index, puzzle, name="main"),
        Member.find(early_row_index, puzzle, name="beside"),
    ]

    answer = solved([tiny_engine, early_engine], members, puzzle, TRACED)

    for test in answer.tests:
        assert test.variants is not None
        names = [trace.checkpoint for trace in test.variants]
        assert names == ["main"] * NUM_VARIANTS + ["beside"] * 2
        assert sum(share.variants_used for share in test.shares) == 2 * NUM_VARIANTS
        assert test.shares[0].variants_used > 0
