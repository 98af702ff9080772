"""The kinds of puzzles: what each reads, which symmetries it has, and how its answers are checked.

What reading, solving and training need to know of ARC, Sudoku and mazes is declared here.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from augment import codec, maze, sudoku, sudoku_solver
from augment.errors import Place
from augment.puzzle import Grid, KindName
from augment.variants import IDENTITY, Variant

AnyVariant: TypeAlias = Variant | sudoku.SudokuVariant
Encode: TypeAlias = Callable[[Grid, Sequence[Any], int], npt.NDArray[np.int32]]
Decode: TypeAlias = Callable[
    [npt.NDArray[np.integer[Any]], Sequence[Any]], list[npt.NDArray[np.uint8] | None]
]


@dataclass(frozen=True, slots=True)
class Rules:
    """What a kind with checkable answers has; its puzzles all share row 0 of a table.

    `sample` draws variants evenly, `num_variants` is how many there are, None for more than anyone
    asks for. `parse` reads a puzzle from JSON, `parse_answer` an answer, and `write` gives either
    back; `split` makes of one line in a file what these read. `check` refuses a puzzle that has no
    answer, and `notes` says what else to know of one. `groups` names the groups in which an
    evaluation counts a puzzle, and `answer_title` what it calls the answer in a file.
    """

    identity: AnyVariant
    num_variants: int | None
    sample: Callable[[int, np.random.Generator], Sequence[AnyVariant]]
    solves: Callable[[Grid, Grid], bool]
    parse: Callable[[object, Place], Grid]
    parse_answer: Callable[[object, Place], Grid]
    write: Callable[[Grid], str | list[str]]
    split: Callable[[str], str | list[str]]
    check: Callable[[Grid, Place], None]
    notes: Callable[[Grid], tuple[str, ...]]
    groups: Callable[[Grid], tuple[str, ...]]
    answer_title: str

    def draw(self, num: int, seed: int) -> tuple[AnyVariant, ...]:
        """Draw so many different variants, or all there are, the untransformed one first."""
        rng = np.random.default_rng(seed)
        wanted = min(num, self.num_variants or num)
        drawn = {self.identity: None}
        while len(drawn) < wanted:
            drawn |= dict.fromkeys(self.sample(wanted - len(drawn), rng))
        return tuple(drawn)


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of puzzle; `rules` is None for ARC, where nothing checks an answer.

    `vocabulary` is the number of tokens of the networks that answer it.
    """

    name: KindName
    title: str
    vocabulary: int
    encode: Encode
    decode: Decode
    rules: Rules | None = None

    @property
    def has_own_rows(self) -> bool:
        """Whether each puzzle needs trained rows of its own, so that networks are adapted to it."""
        return self.rules is None


ARC: Final = Kind("arc", "ARC", codec.VOCABULARY, codec.encode_variants, codec.decode_variants)
SUDOKU: Final = Kind(
    "sudoku",
    "Sudoku",
    sudoku.VOCABULARY,
    sudoku.encode_sudoku,
    sudoku.decode_sudoku,
    Rules(
        sudoku.IDENTITY_SUDOKU,
        None,
        sudoku.sample_sudoku_variants,
        sudoku.solves_sudoku,
        sudoku.parse_sudoku,
        sudoku.parse_sudoku,
        sudoku.sudoku_text,
        str,
        sudoku_solver.check_solvable,
        sudoku_solver.solution_notes,
        sudoku_solver.sudoku_groups,
        "known answer",
    ),
)
MAZE: Final = Kind(
    "maze",
    "maze",
    maze.VOCABULARY,
    maze.encode_maze,
    maze.decode_maze,
    Rules(
        IDENTITY,
        len(maze.MAZE_VARIANTS),
        maze.sample_maze_variants,
        maze.solves_maze,
        maze.parse_maze,
        maze.parse_solved_maze,
        maze.maze_rows,
        maze.split_line,
        maze.check_way,
        maze.maze_notes,
        maze.maze_groups,
        "known path",
    ),
)
KINDS: Final[Mapping[KindName, Kind]] = {kind.name: kind for kind in (ARC, SUDOKU, MAZE)}


def kind_of_vocabulary(vocabulary: int) -> Kind | None:
    """Return the kind that networks with so many tokens answer."""
    return next((kind for kind in KINDS.values() if kind.vocabulary == vocabulary), None)
