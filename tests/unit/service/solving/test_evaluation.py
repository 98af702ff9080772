"""Evaluation: what is counted, and over which tasks."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from augment import CropChoice, Grid, Puzzle, Task
from hrm_core import Engine, open_checkpoint
from service.runtime.devices import EngineOptions
from service.solving.engines import make_engine
from service.solving.enrolment import RowIndex
from service.solving.evaluation import Evaluation, evaluate, known_tasks, same_attempts_share
from service.solving.members import Member
from service.solving.solve import Solving, solve
from service.wire.errors import InputError
from service.wire.options import SolveOptions

pytestmark = pytest.mark.usefixtures("one_thread")

WHOLE = SolveOptions(stop_early=False)
WRONG = Grid.from_rows([[9, 9, 9], [9, 9, 9]])


@pytest.fixture(scope="module")
def evaluation(
    tiny_engine: Engine, tiny_row_index: RowIndex, constant_tasks: tuple[Task, ...]
) -> Evaluation:
    """Evaluate with one of the five expected outputs, one of square's two, replaced."""
    square, *others = constant_tasks
    tasks = [replace(square, expected=(square.expected[0], WRONG)), *others]
    return evaluate(tiny_engine, tiny_row_index, tasks, WHOLE)


def test_test_inputs_and_solved_ones_are_counted(evaluation: Evaluation) -> None:
    assert (evaluation.counts.num_tasks, evaluation.counts.num_test_inputs) == (4, 5)
    assert (evaluation.counts.solved_first, evaluation.counts.solved_two) == (4, 4)


def test_the_three_scoring_rules_differ_as_they_should(evaluation: Evaluation) -> None:
    assert evaluation.scores.per_output == pytest.approx(4 / 5)
    assert evaluation.scores.per_task == pytest.approx(3 / 4)
    assert evaluation.scores.mean_fraction == pytest.approx((1 / 2 + 3) / 4)


def test_each_test_input_is_listed_with_its_finding(evaluation: Evaluation) -> None:
    found = {(e["task"], e["test_input"]): e["two"] for e in evaluation.per_input}

    assert found == {
        ("square", 0): True,
        ("square", 1): False,
        ("bar", 0): True,
        ("steps", 0): True,
        ("column", 0): True,
    }


def test_single_variants_are_the_mean_over_test_inputs(evaluation: Evaluation) -> None:
    shares = [entry["single_variant_share"] for entry in evaluation.per_input]

    assert shares[1] == 0
    assert all(share > 0.5 for place, share in enumerate(shares) if place != 1)
    assert evaluation.counts.single_variant_share == pytest.approx(sum(shares) / 5)


def test_a_variant_that_abstains_is_a_wrong_one(
    early_engine: Engine, early_row_index: RowIndex, constant_tasks: tuple[Task, ...]
) -> None:
    solvings = [
        Solving(task.puzzle, [Member.find(early_row_index, task.puzzle)], WHOLE)
        for task in constant_tasks
    ]
    solve([early_engine], solvings)
    shares = [
        sum(entry.count for entry in tally.entries if entry.grid == expected) / 6
        for solving, task in zip(solvings, constant_tasks, strict=True)
        for tally, expected in zip(solving.tallies, task.expected, strict=True)
    ]

    evaluation = evaluate(early_engine, early_row_index, constant_tasks, WHOLE)

    assert [e["single_variant_share"] for e in evaluation.per_input] == pytest.approx(shares)


def test_variants_and_segments_are_summed(evaluation: Evaluation) -> None:
    assert evaluation.num_variants == 5 * 6
    assert evaluation.num_variant_segments == sum(e["segments"] for e in evaluation.per_input)
    assert 5 * 6 <= evaluation.num_variant_segments <= 5 * 6 * 3


def test_a_divided_vote_may_find_the_output_in_its_second_attempt(
    early_engine: Engine, early_row_index: RowIndex, constant_tasks: tuple[Task, ...]
) -> None:
    first = evaluate(early_engine, early_row_index, constant_tasks, WHOLE)
    seconds = [
        replace(task, expected=tuple(a[1] if len(a) > 1 else WRONG for a in attempts))
        for task, attempts in zip(
            constant_tasks,
            (
                [a for name, _, a in first.attempts if name == task.puzzle.name]
                for task in constant_tasks
            ),
            strict=True,
        )
    ]
    num_seconds = sum(len(attempts) > 1 for _, _, attempts in first.attempts)
    assert num_seconds > 0

    evaluation = evaluate(early_engine, early_row_index, seconds, WHOLE)

    assert (evaluation.counts.solved_first, evaluation.counts.solved_two) == (0, num_seconds)


def test_only_two_attempts_count(
    early_engine: Engine, early_row_index: RowIndex, constant_tasks: tuple[Task, ...]
) -> None:
    everything = WHOLE.with_changes(attempts=6)

    two = evaluate(early_engine, early_row_index, constant_tasks, WHOLE)
    six = evaluate(early_engine, early_row_index, constant_tasks, everything)

    assert six.attempts == two.attempts
    assert (six.counts.solved_two, six.scores) == (two.counts.solved_two, two.scores)


def test_unknown_tasks_are_passed_over(
    tiny_row_index: RowIndex, constant_tasks: tuple[Task, ...]
) -> None:
    unknown = Task(Puzzle("new", constant_tasks[0].puzzle.train[:1], (WRONG,)), (None,))

    assert known_tasks(tiny_row_index, [unknown, *constant_tasks]) == list(constant_tasks)


def test_a_task_given_twice_counts_once(
    tiny_row_index: RowIndex, constant_tasks: tuple[Task, ...]
) -> None:
    renamed = Task(replace(constant_tasks[0].puzzle, name="again"), constant_tasks[0].expected)

    kept = known_tasks(tiny_row_index, [*constant_tasks, renamed, *constant_tasks])

    assert kept == list(constant_tasks)


def test_knowing_none_of_the_tasks_is_an_error(
    tiny_row_index: RowIndex, constant_tasks: tuple[Task, ...]
) -> None:
    unknown = Task(Puzzle("new", constant_tasks[0].puzzle.train[:1], (WRONG,)), (WRONG,))

    with pytest.raises(InputError, match="knows none of the 1 tasks"):
        known_tasks(tiny_row_index, [unknown])


def test_a_missing_expected_output_is_an_error_that_names_the_task(
    tiny_row_index: RowIndex, constant_tasks: tuple[Task, ...]
) -> None:
    square = replace(constant_tasks[0], expected=(WRONG, None))

    with pytest.raises(InputError, match="'square' has no expected output"):
        known_tasks(tiny_row_index, [constant_tasks[1], square])


def test_the_share_of_same_attempts_heeds_their_order(evaluation: Evaluation) -> None:
    name, index, attempts = evaluation.attempts[2]
    swapped = ((name, index, (WRONG, *attempts)), *evaluation.attempts[:2])
    others = (*swapped[1:], swapped[0], *evaluation.attempts[3:])

    assert same_attempts_share(evaluation, evaluation) == 1
    assert same_attempts_share(evaluation, replace(evaluation, attempts=others)) == 4 / 5


class ByName(RowIndex):
    """Chooses a smaller square for one of the puzzles."""

    def crop_of(self, puzzle: Puzzle) -> CropChoice:
        return replace(super().crop_of(puzzle), size=3 if puzzle.name == "bar" else 4, larger=())


def test_inputs_are_counted_by_the_side_of_their_square(
    tiny_copy: Path, constant_tasks: tuple[Task, ...]
) -> None:
    config = tiny_copy / "all_config.yaml"
    document = yaml.safe_load(config.read_text(encoding="utf-8"))
    document["arch"]["crop"] = True
    config.write_text(yaml.safe_dump(document), encoding="utf-8")
    dataset = tiny_copy / "dataset.json"
    sizes = json.loads(dataset.read_text(encoding="utf-8")) | {"seq_len": 16}
    dataset.write_text(json.dumps(sizes), encoding="utf-8")
    row_index = ByName(open_checkpoint(tiny_copy))
    engine = make_engine(row_index.checkpoint, EngineOptions("cpu", slots=4), say=print)

    evaluation = evaluate(engine, row_index, constant_tasks, WHOLE)

    assert {entry["task"] for entry in evaluation.per_input if entry["side"] == 3} == {"bar"}
    assert [(side, c.num_test_inputs) for side, c in evaluation.by_side.items()] == [(3, 1), (4, 4)]
    assert sum(counts.solved_two for counts in evaluation.by_side.values()) == sum(
        entry["two"] for entry in evaluation.per_input
    )
    assert [task.puzzle.name for task in known_tasks(row_index, constant_tasks, max_side=3)] == [
        "bar"
    ]
    with pytest.raises(InputError, match="at most 2 cells a side"):
        known_tasks(row_index, constant_tasks, max_side=2)
