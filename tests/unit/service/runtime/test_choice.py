"""The rule by which a checkpoint is chosen for a puzzle that none is named for."""

import pytest

from augment import Grid, Pair, Puzzle
from service.runtime.choice import Candidate, Choice, choose_checkpoint
from service.wire.errors import CanvasExceeded, UnknownPuzzle
from service.wire.options import Adapt

SMALL = Candidate("small", canvas=6, crop=False, num_puzzles=46)
MEDIUM = Candidate("medium", canvas=8, crop=False, num_puzzles=100)
CROP = Candidate("crop", canvas=30, crop=True, num_puzzles=400)
FULL = Candidate("full", canvas=30, crop=False, num_puzzles=900)
ALL = (SMALL, MEDIUM, CROP, FULL)


def puzzle_of(side: int) -> Puzzle:
    grid = Grid.from_rows([[1] * side] * side)
    return Puzzle("new", (Pair(grid, grid),), (grid,))


def choose(
    side: int,
    *candidates: Candidate,
    known_to: tuple[str, ...] = (),
    adapt: Adapt = "auto",
    default: str | None = "small",
) -> Choice:
    return choose_checkpoint(puzzle_of(side), candidates, known_to, adapt=adapt, default=default)


@pytest.mark.parametrize("adapt", ["auto", "never"])
@pytest.mark.parametrize(
    ("side", "known_to", "chosen"),
    [
        (3, ("full", "small", "crop"), "small"),  # the default one first
        (3, ("full", "crop"), "crop"),  # then by name
        (7, ("small", "full"), "full"),  # the default one does not take its grids
    ],
)
def test_a_checkpoint_that_knows_the_puzzle_answers(
    side: int, known_to: tuple[str, ...], chosen: str, adapt: Adapt
) -> None:
    assert choose(side, *ALL, known_to=known_to, adapt=adapt) == Choice(chosen, is_adapted=False)


@pytest.mark.parametrize(
    ("side", "candidates", "chosen"),
    [
        (3, ALL, "crop"),
        (3, (SMALL, MEDIUM, FULL), "full"),
        (7, (SMALL, MEDIUM), "medium"),
        (6, (SMALL, Candidate("richer", 6, crop=False, num_puzzles=47)), "richer"),
        (6, (Candidate("another", 6, crop=False, num_puzzles=46), SMALL), "small"),  # the default
        (6, (Candidate("crop", 30, crop=True, num_puzzles=1, is_base=False), SMALL), "small"),
    ],
)
def test_the_best_base_is_adapted_to_what_nobody_knows(
    side: int, candidates: tuple[Candidate, ...], chosen: str
) -> None:
    assert choose(side, *candidates) == Choice(chosen, is_adapted=True)


def test_always_adapts_the_best_base_to_what_is_known_too() -> None:
    chosen = choose(3, *ALL, known_to=("small",), adapt="always")
    assert chosen == Choice("crop", is_adapted=True)


def test_where_adaptation_is_off_or_there_is_no_base_the_puzzle_stays_unknown() -> None:
    with pytest.raises(UnknownPuzzle, match=r"'new', which is identified.*`adapt: never` rules"):
        choose(3, *ALL, adapt="never")
    with pytest.raises(UnknownPuzzle, match="no checkpoint is a base"):
        choose(3, Candidate("adapted", 8, crop=False, num_puzzles=1, is_base=False))
    with pytest.raises(UnknownPuzzle):
        choose(3)


@pytest.mark.parametrize("adapt", ["auto", "never", "always"])
def test_the_error_of_a_puzzle_that_fits_nothing_names_the_largest_canvas(adapt: Adapt) -> None:
    with pytest.raises(CanvasExceeded, match=r"9 cells a side.* takes 8 x 8") as raised:
        choose(9, SMALL, MEDIUM, adapt=adapt)
    assert (raised.value.canvas, raised.value.code) == (8, "canvas_exceeded")


def test_a_puzzle_beyond_every_base_is_not_called_unknown() -> None:
    full = Candidate("full", 30, crop=False, num_puzzles=900, is_base=False)
    with pytest.raises(CanvasExceeded) as raised:
        choose(9, SMALL, full)
    assert raised.value.canvas == 6
