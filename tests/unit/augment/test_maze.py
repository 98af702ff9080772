"""Mazes: forms of input, tokens, rules."""

import numpy as np
import pytest

from augment import MAZE, CanvasError, Grid, Puzzle, PuzzleError
from augment.maze import maze_rows, parse_maze, parse_solved_maze

OPEN = ["#####", "#S  #", "# # #", "#  G#", "#####"]
assert MAZE.rules is not None
RULES = MAZE.rules


def read(*rows: str) -> Grid:
    return parse_solved_maze(list(rows), ("maze",))


def test_rows_and_text_give_the_same_maze() -> None:
    assert parse_maze("\n".join(OPEN), ()) == parse_maze(OPEN, ())
    assert maze_rows(parse_maze(OPEN, ())) == OPEN


@pytest.mark.parametrize(
    ("form", "pointer", "words"),
    [
        ([], "/maze", "0 rows"),
        ({"a": 1}, "/maze", "is not a maze"),
        (["#S", "#"], "/maze/1", "1 columns"),
        (["SoG"], "/maze/0", "column 2: 'o' is not one of"),
        (["S é"], "/maze/0", r"'\xe9' is not one of"),
        (["  G"], "/maze", "0 cells are the start S"),
        (["SGG"], "/maze", "2 cells are the goal G"),
        (["S" * 31], "/maze/0", "31 columns"),
    ],
)
def test_a_wrong_form_is_refused_at_its_place(form: object, pointer: str, words: str) -> None:
    with pytest.raises(PuzzleError) as caught:
        parse_maze(form, ("maze",))
    assert caught.value.pointer == pointer
    assert words in caught.value.problem


def test_a_goal_that_no_way_leads_to_is_refused() -> None:
    with pytest.raises(PuzzleError, match="no way leads from S to G"):
        RULES.check(parse_maze(["S#G"], ()), ("maze",))
    RULES.check(parse_maze(OPEN, ()), ("maze",))


@pytest.mark.parametrize(
    ("answer", "is_right"),
    [
        (["#####", "#Soo#", "# #o#", "#  G#", "#####"], True),
        (["#####", "#S  #", "#o# #", "#ooG#", "#####"], True),
        (["#####", "#So #", "#o#o#", "#  G#", "#####"], False),  # three cells, no path
        (["#####", "#So #", "# #o#", "#  G#", "#####"], False),
        (["#####", "#Soo#", "#o#o#", "#ooG#", "#####"], False),  # both ways
        (["#####", "#S  #", "# o #", "#  G#", "#####"], False),  # through a wall
        (["#####", "#Soo#", "# #o#", "#  G#", "### #"], False),  # a wall removed
        (["#####", "#S  #", "# # #", "#  G#", "#####"], False),
    ],
)
def test_only_a_shortest_path_is_right(answer: list[str], is_right: bool) -> None:
    maze = parse_maze(OPEN, ())
    assert RULES.solves(maze, read(*answer)) is is_right
    for variant in RULES.draw(8, seed=0):
        turned = Grid(variant.apply(maze.cells)), Grid(variant.apply(read(*answer).cells))
        assert RULES.solves(*turned) is is_right


def test_a_longer_way_round_is_no_answer() -> None:
    maze = parse_maze(["S G", "   "], ())
    assert RULES.solves(maze, read("SoG", "   "))
    assert not RULES.solves(maze, read("S G", "ooo"))


def test_there_are_eight_variants_and_no_more() -> None:
    assert len(set(RULES.draw(100, seed=3))) == 8


def test_tokens_are_padded_and_decode_to_the_original() -> None:
    maze = parse_maze(["S  ", "# G"], ())
    variants = RULES.draw(8, seed=0)

    tokens = MAZE.encode(maze, variants, 6)
    assert tokens[0].reshape(6, 6)[:2, :3].tolist() == [[3, 2, 2], [1, 2, 4]]
    assert (tokens > 0).sum(axis=1).tolist() == [6] * 8
    assert all((one == maze.cells).all() for one in MAZE.decode(tokens, variants))


def test_an_answer_that_is_no_rectangle_abstains() -> None:
    tokens = np.zeros((3, 9), dtype=np.uint8)
    tokens[1] = [1, 1, 0, 1, 0, 0, 0, 0, 0]
    tokens[2] = [1, 1, 0, 1, 1, 0, 0, 0, 1]

    assert MAZE.decode(tokens, [RULES.identity] * 3) == [None] * 3


def test_a_maze_larger_than_the_canvas_is_refused() -> None:
    with pytest.raises(CanvasError):
        MAZE.encode(parse_maze(OPEN, ()), [RULES.identity], 4)


def test_a_maze_that_is_too_large_is_named_by_its_place_in_the_body() -> None:
    maze = parse_maze(OPEN, ())

    assert Puzzle("m", (), (maze,), "maze").misfits(4) == [(("maze",), maze)]


def test_an_evaluation_groups_mazes_by_size() -> None:
    assert RULES.groups(parse_maze(["S  ", "# G"], ())) == ("2 x 3",)
