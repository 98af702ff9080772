"""Sudoku: forms of input, symmetries, tokens, rules and the solver."""

import numpy as np
import pytest

from augment import SUDOKU, Grid, PuzzleError, count_guesses, count_solutions, find_solutions
from augment.sudoku import parse_sudoku, sudoku_text

EASY = "53..7....6..195....98....6.8...6...34..8.3..17...2...6.6....28....419..5....8..79"
HARD = "8..........36......7..9.2...5...7.......457.....1...3...1....68..85...1..9....4.."
assert SUDOKU.rules is not None
RULES = SUDOKU.rules


def read(text: str) -> Grid:
    return parse_sudoku(text, ("sudoku",))


@pytest.mark.parametrize(
    "form",
    [
        EASY,
        EASY.replace(".", "0"),
        "\n".join(EASY[start : start + 9] for start in range(0, 81, 9)),
        [EASY[start : start + 9] for start in range(0, 81, 9)],
        [
            [int(sign.replace(".", "0")) for sign in EASY[start : start + 9]]
            for start in range(0, 81, 9)
        ],
    ],
)
def test_every_form_gives_the_same_grid(form: object) -> None:
    assert sudoku_text(parse_sudoku(form, ())) == EASY


@pytest.mark.parametrize(
    ("form", "pointer", "words"),
    [
        (EASY[:80], "/sudoku", "80 characters"),
        (EASY[:80] + "x", "/sudoku", "character 81, 'x' is not a digit"),
        ([EASY[:9]] * 8, "/sudoku", "8 rows"),
        ([EASY[:8]] + [EASY[:9]] * 8, "/sudoku/0", "8 cells"),
        ([[0] * 9] * 3 + [[0] * 5 + [10] + [0] * 3] + [[0] * 9] * 5, "/sudoku/3/5", "10 is not"),
        (17, "/sudoku", "is not a Sudoku"),
        (
            "55" + EASY[2:],
            "/sudoku",
            "5 is given twice in row 1 (row 1 column 1 and row 1 column 2)",
        ),
        (EASY[:27] + "5" + EASY[28:], "/sudoku", "5 is given twice in column 1"),
        ([[0] * 9] * 8 + [[3, 0, 0, 0, 0, 0, 0, 3, 0]], "/sudoku/8/7", "3 is given twice"),
    ],
)
def test_a_wrong_form_is_refused_at_its_place(form: object, pointer: str, words: str) -> None:
    with pytest.raises(PuzzleError) as caught:
        parse_sudoku(form, ("sudoku",))
    assert caught.value.pointer == pointer
    assert words in caught.value.problem


def test_symmetries_keep_the_rules_and_are_undone() -> None:
    (solution,) = find_solutions(read(EASY)) or ()
    variants = RULES.draw(200, seed=1)

    assert len(set(variants)) == 200
    assert variants[0] == RULES.identity
    for variant in variants:
        puzzle, answer = Grid(variant.apply(read(EASY).cells)), Grid(variant.apply(solution.cells))
        assert RULES.solves(puzzle, answer)
        assert (variant.invert(answer.cells) == solution.cells).all()


def test_a_longer_draw_begins_with_a_shorter_one() -> None:
    assert RULES.draw(64, seed=5)[:8] == RULES.draw(8, seed=5)
    assert RULES.draw(8, seed=5) != RULES.draw(8, seed=6)


def test_tokens_are_digits_and_one_and_decode_to_the_original() -> None:
    (solution,) = find_solutions(read(EASY)) or ()
    variants = RULES.draw(20, seed=0)

    tokens = SUDOKU.encode(solution, variants, 9)
    assert tokens.shape == (20, 81)
    assert tokens[0].tolist() == [digit + 1 for digit in solution.cells.ravel().tolist()]
    assert all((one == solution.cells).all() for one in SUDOKU.decode(tokens, variants))


@pytest.mark.parametrize("token", [0, 1, 11])
def test_an_answer_with_an_empty_cell_abstains(token: int) -> None:
    tokens = np.full((1, 81), 2)
    tokens[0, 40] = token

    assert SUDOKU.decode(tokens, [RULES.identity]) == [None]


def test_the_rules_refuse_changed_givens_and_repeated_digits() -> None:
    (solution,) = find_solutions(read(EASY)) or ()
    assert RULES.solves(read(EASY), solution)
    renamed = Grid((solution.cells % 9 + 1).astype(np.uint8))  # a solution of other givens
    assert not RULES.solves(read(EASY), renamed)
    for cell in np.ndindex(9, 9):
        damaged = solution.cells.copy()
        damaged[cell] = damaged[cell] % 9 + 1
        assert not RULES.solves(read(EASY), Grid(damaged))


@pytest.mark.parametrize("text", [EASY, HARD])
def test_the_solver_finds_the_only_solution(text: str) -> None:
    solutions = find_solutions(read(text))

    assert solutions is not None
    assert len(solutions) == 1
    assert RULES.solves(read(text), solutions[0])


def test_the_solver_counts_guesses_and_solutions() -> None:
    assert count_guesses(read(EASY)) == 0
    assert (count_guesses(read(HARD)) or 0) > 10
    assert count_solutions(read("." * 81)) == 2
    assert count_solutions(read("." * 81), most=5) == 5


def test_a_sudoku_without_solution_is_refused_and_one_with_several_noted() -> None:
    # Row 1 needs a 9 in its last cell, whose column has one.
    broken = read("12345678." + "." * 17 + "9" + "." * 54)
    assert count_solutions(broken) == 0
    with pytest.raises(PuzzleError, match="has no solution"):
        RULES.check(broken, ("sudoku",))
    assert RULES.notes(read(EASY)) == RULES.notes(broken) == ()
    assert "several solutions" in RULES.notes(read("." * 30 + EASY[30:]))[0]


def test_an_evaluation_groups_sudokus_by_givens_and_difficulty() -> None:
    assert RULES.groups(read(EASY)) == ("28 to 31 givens", "single candidates suffice")
    assert RULES.groups(read(HARD)) == ("20 to 23 givens", "needs guessing")
