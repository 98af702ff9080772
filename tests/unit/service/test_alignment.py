"""The alignment self-test, on rows that fit their names and on rows that do not."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from augment import Task
from hrm_core import Engine, EngineConfig, open_checkpoint
from service.alignment import Alignment, check_alignment
from service.enrolment import Registrar
from service.errors import AlignmentError, EnrolmentError

pytestmark = pytest.mark.usefixtures("one_thread")


def check(folder: Path) -> Alignment:
    checkpoint = open_checkpoint(folder)
    engine = Engine(checkpoint, EngineConfig(torch.device("cpu"), num_slots=5))
    return check_alignment(engine, Registrar(checkpoint))


def test_a_trained_checkpoint_is_aligned(tiny_folder: Path) -> None:
    alignment = check(tiny_folder)

    assert (alignment.num_demonstrations, alignment.num_puzzles) == (12, 4)
    assert alignment.exact_share_own >= 0.9
    assert alignment.exact_share_shuffled == 0
    assert alignment.is_aligned
    assert alignment.verdict.startswith("aligned")


@pytest.mark.parametrize("num_puzzles_off", [1, 2, 3])
def test_names_moved_to_other_puzzles_rows_are_told(tiny_copy: Path, num_puzzles_off: int) -> None:
    path = tiny_copy / "identifiers.json"
    blank, *names = json.loads(path.read_text(encoding="utf-8"))
    moved = 6 * num_puzzles_off
    path.write_text(json.dumps([blank, *names[moved:], *names[:moved]]), encoding="utf-8")

    alignment = check(tiny_copy)

    assert alignment.exact_share_own == 0
    assert not alignment.is_aligned
    assert alignment.verdict.startswith("misaligned: a puzzle's own row serves no better")
    assert "identifiers.json" in alignment.verdict


def test_a_checkpoint_trained_too_little_is_called_underfitted(early_folder: Path) -> None:
    alignment = check(early_folder)

    assert not alignment.is_aligned
    assert alignment.verdict.startswith("underfitted")
    assert alignment.cell_share_own > alignment.cell_share_shuffled


def test_demonstrations_that_any_row_answers_prove_nothing() -> None:
    alignment = Alignment(12, 4, 0.9, 0.5, 0.95, 0.6)

    assert not alignment.is_aligned
    assert alignment.verdict.startswith("not told apart")


@pytest.mark.parametrize(
    ("exact_own", "exact_shuffled", "aligned"),
    [(0.5, 0.1, True), (0.49, 0.0, False), (0.5, 0.11, False), (1.0, 0.2, True)],
)
def test_half_must_be_exact_and_five_times_as_many_as_shuffled(
    exact_own: float, exact_shuffled: float, aligned: bool
) -> None:
    assert Alignment(100, 4, exact_own, exact_shuffled, 0.0, 0.0).is_aligned is aligned


def test_too_few_known_demonstrations_are_an_error(
    tiny_engine: Engine, tiny_registrar: Registrar, constant_tasks: tuple[Task, ...]
) -> None:
    two = [task.puzzle for task in constant_tasks[:2]]

    with pytest.raises(AlignmentError, match=r"6 known demonstrations of 2 puzzle.*8 of 2"):
        check_alignment(tiny_engine, tiny_registrar, two)


def test_unknown_puzzles_do_not_count(
    tiny_engine: Engine, tiny_registrar: Registrar, constant_tasks: tuple[Task, ...]
) -> None:
    puzzles = [task.puzzle for task in constant_tasks]
    unknown = [replace(puzzle, train=puzzle.train[:1]) for puzzle in puzzles]

    with pytest.raises(AlignmentError, match="0 known demonstrations"):
        check_alignment(tiny_engine, tiny_registrar, unknown)
    assert check_alignment(tiny_engine, tiny_registrar, [*unknown, *puzzles]).is_aligned


def test_a_checkpoint_without_probes_has_too_little_to_go_on(tiny_copy: Path) -> None:
    (tiny_copy / "puzzles.json").unlink()

    with pytest.raises(AlignmentError, match="--tasks, or write probes with `hrm-arc index`"):
        check(tiny_copy)


def test_a_checkpoint_without_names_cannot_be_aligned(tiny_copy: Path) -> None:
    (tiny_copy / "identifiers.json").unlink()

    with pytest.raises(EnrolmentError, match=r"identifiers\.json"):
        check(tiny_copy)
