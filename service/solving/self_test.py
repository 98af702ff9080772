"""The self-test: known demonstrations are answered through their own rows and through others.

Rows that belong to their names answer known demonstrations better than rows of other puzzles and
better than rows of other variants of the same puzzle. The number of right demonstrations is a
separate finding: a briefly trained checkpoint is aligned nonetheless.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import zip_longest

import numpy as np
import numpy.typing as npt

from augment import (
    FIRST_COLOUR,
    CanvasError,
    Grid,
    Pair,
    Puzzle,
    Variant,
    decode_variants,
    encode,
    encode_variants,
)
from hrm_core import Engine, Halting, Sample
from service.solving.enrolment import PuzzleRows, RowIndex
from service.wire.checkpoint import Finding
from service.wire.errors import AlignmentError, UnknownPuzzle

MIN_DEMONSTRATIONS, MAX_DEMONSTRATIONS = 8, 32
# Where the first few demonstrations take longer than this and give a clear result, they suffice.
LONG_S = 20.0

# A difference counts when it is three standard errors and ten cells in a hundred.
MIN_GAIN, MIN_STANDARD_ERRORS = 0.1, 3.0
# Rows in another order reach a quarter to a third of the cells, a briefly trained checkpoint nine
# tenths. Standard errors do not suffice where the demonstrations are of few puzzles.
MIN_CELL_SHARE = 0.5
MIN_EXACT_SHARE = 0.5
# Settings that spoil the answers of a good checkpoint although its weights load.
_SETTINGS = "num_heads, H_cycles, L_cycles or puzzle_emb_len in all_config.yaml"
_NAMES = "identifiers.json is not in the order of this table"


@dataclass(frozen=True, slots=True)
class Rival:
    """The demonstrations, answered through rows of other names.

    Units: shares as in SelfTest; `gain` is the mean improvement by the demonstrations' own rows, in
    shares of a demonstration's cells, `gain_error` its standard error.
    """

    exact_share: float
    cell_share: float
    gain: float
    gain_error: float

    @property
    def is_beaten(self) -> bool:
        """Whether the own rows are clearly better."""
        return self.gain >= max(MIN_GAIN, MIN_STANDARD_ERRORS * self.gain_error)


@dataclass(frozen=True, slots=True)
class SelfTest:
    """The result of a self-test; a rival is None where there are no rows of its kind.

    `names_known`: this program wrote rows and names together, so only the training is in question.

    Units: `exact_share` is the share of demonstrations that come out right, `cell_share`
    the share of the outputs' cells.
    """

    num_demonstrations: int
    num_puzzles: int
    exact_share: float
    cell_share: float
    other_puzzles: Rival | None
    other_variants: Rival | None
    names_known: bool = False

    @property
    def finding(self) -> Finding:
        """The finding that follows from the numbers."""
        is_fitted = self.exact_share >= MIN_EXACT_SHARE
        rivals = [rival for rival in (self.other_puzzles, self.other_variants) if rival is not None]
        is_better = bool(rivals) and all(rival.is_beaten for rival in rivals)
        if self.names_known or (is_better and self.cell_share >= MIN_CELL_SHARE):
            return Finding.ALIGNED if is_fitted else Finding.UNDERFITTED
        return Finding.UNCLEAR if is_fitted else Finding.MISALIGNED

    @property
    def verdict(self) -> str:
        """The finding as a sentence, with likely causes where it is not good."""
        num_exact = round(self.exact_share * self.num_demonstrations)
        right = f"{num_exact} of {self.num_demonstrations} known demonstrations come out right"
        match self.finding:
            case Finding.ALIGNED:
                return f"aligned: the rows belong to their names; {right}"
            case Finding.UNDERFITTED:
                return (
                    f"underfitted: the rows belong to their names, but only {right}. It was "
                    f"trained briefly, or {_SETTINGS} differs from its training"
                )
            case Finding.UNCLEAR:
                return (
                    f"unclear: {right}, but other rows answer nearly as well, so it "
                    "remains open whether identifiers.json is in the order of this table"
                )
            case Finding.MISALIGNED if self.other_puzzles and self.other_puzzles.is_beaten:
                # Puzzles are distinguished but variants are not: the network computes wrongly.
                return (
                    f"misaligned: {right}, and rows of other variants answer as well. Most likely "
                    f"{_SETTINGS} differs from its training; otherwise {_NAMES}, or it is hardly "
                    "trained"
                )
            case _:
                return (
                    f"misaligned: {right}, and rows of other names answer as well. Most likely "
                    f"{_NAMES}; otherwise {_SETTINGS} differs from its training, or it is hardly "
                    "trained"
                )


@dataclass(frozen=True, slots=True)
class _Case:
    """A demonstration in one variant of its puzzle, with its own row and rows of other names.

    Shapes: input and target int32 [S].
    """

    puzzle_name: str
    input: npt.NDArray[np.int32]
    target: npt.NDArray[np.int32]
    variant: Variant
    output: Grid
    own_row: int
    other_puzzle_row: int | None
    other_variant_row: int | None


def run_self_test(
    engine: Engine,
    row_index: RowIndex,
    puzzles: Sequence[Puzzle] | None = None,
    on_step: Callable[[], None] = lambda: None,
) -> SelfTest:
    """Answer 8 to 32 known demonstrations through their own rows and through others.

    `puzzles` None takes the probes of the checkpoint's puzzles.json. Unknown puzzles are left out.
    Where the checkpoint knows few puzzles, their variants are tested too.

    Raises: AlignmentError when there are fewer than 8 demonstrations to test with.
    """
    row_index.check_arc()
    if puzzles is None:
        puzzles = row_index.puzzle_index.probes if row_index.puzzle_index else ()
    cases = _choose_cases(row_index, puzzles)
    if len(cases) < MIN_DEMONSTRATIONS:
        raise AlignmentError(
            f"untested: {len(cases)} known demonstrations, {MIN_DEMONSTRATIONS} are needed "
            f"to show that the rows of {row_index.checkpoint.folder} fit their names. Give known "
            "puzzles with `hrm-arc verify --tasks`, or write probes with `hrm-arc index`"
        )
    started = time.monotonic()
    few, rest = cases[:MIN_DEMONSTRATIONS], cases[MIN_DEMONSTRATIONS:]
    answers = _answer(engine, few, on_step)
    result = _summarise(few, answers)
    is_clear = result.finding in (Finding.ALIGNED, Finding.UNDERFITTED)
    if not rest or (is_clear and time.monotonic() - started > LONG_S):
        return result
    more = _answer(engine, rest, on_step)
    return _summarise(cases, np.concatenate((answers, more), axis=2))


def _choose_cases(row_index: RowIndex, puzzles: Sequence[Puzzle]) -> list[_Case]:
    """Take demonstrations puzzle by puzzle, one of each before a second of any."""
    canvas = row_index.checkpoint.config.canvas
    known: list[tuple[Puzzle, PuzzleRows, int]] = []
    for puzzle in puzzles:
        with suppress(UnknownPuzzle, CanvasError):
            known.append((puzzle, row_index.find(puzzle), row_index.crop_of(puzzle).size))
    # Small squares first: they are answered sooner, and may have been trained before larger ones.
    known.sort(key=lambda one: one[2])
    wanted: list[list[Callable[[], _Case]]] = []
    for position, (puzzle, puzzle_rows, side) in enumerate(known):
        other = known[(position + 1) % len(known)][1] if len(known) > 1 else None
        wanted.append(
            [
                partial(_make_case, puzzle_rows, other, index, pair, side)
                for index in range(min(len(puzzle_rows.variants), MAX_DEMONSTRATIONS))
                for pair in puzzle.train
                if pair.input.fits(canvas) and pair.output.fits(canvas)
            ]
        )
    in_turn = [make for turn in zip_longest(*wanted) for make in turn if make is not None]
    return [make() for make in in_turn[:MAX_DEMONSTRATIONS]]


def _make_case(
    puzzle_rows: PuzzleRows, other: PuzzleRows | None, index: int, pair: Pair, side: int
) -> _Case:
    variants = puzzle_rows.variants
    targets = encode_variants(pair.output, variants, side)
    # The variant with the most different output: a similar one would answer as well.
    distance = (targets != targets[index]).sum(axis=1)
    sibling = int(distance.argmax())
    return _Case(
        puzzle_name=puzzle_rows.puzzle_name,
        input=encode([variants[index].apply_grid(pair.input)], side)[0],
        target=targets[index],
        variant=variants[index],
        output=pair.output,
        own_row=int(puzzle_rows.rows[index]),
        other_puzzle_row=None if other is None else int(other.rows[index % len(other.rows)]),
        other_variant_row=int(puzzle_rows.rows[sibling]) if distance[sibling] else None,
    )


def _answer(
    engine: Engine, cases: Sequence[_Case], on_step: Callable[[], None]
) -> npt.NDArray[np.float64]:
    """Answer cases through their own rows, other puzzles' rows and other variants' rows.

    Shapes: [2, 3, N] for N cases: whether each is exact, and its share of right cells, through each
    kind of row; NaN for a case without a row of that kind.
    """
    checkpoint = engine.checkpoint
    asked = [
        ((arm, index), row)
        for index, case in enumerate(cases)
        for arm, row in enumerate((case.own_row, case.other_puzzle_row, case.other_variant_row))
        if row is not None
    ]
    rows = checkpoint.rows.gather([row for _, row in asked])
    samples = [Sample(key, cases[key[1]].input, rows[i]) for i, (key, _) in enumerate(asked)]
    engine.add(samples, job="self-test", halting=Halting.FIXED)
    answers = np.full((2, 3, len(cases)), np.nan)
    is_exact, cell_share = answers
    while not engine.is_idle:
        for outcome in engine.step():
            arm, index = outcome.sample_id
            case = cases[index]
            (grid,) = decode_variants(outcome.tokens[None], [case.variant])
            is_exact[arm, index] = grid is not None and Grid(grid) == case.output
            is_cell = case.target >= FIRST_COLOUR
            cell_share[arm, index] = (outcome.tokens == case.target)[is_cell].mean()
        on_step()
    return answers


def _summarise(cases: Sequence[_Case], answers: npt.NDArray[np.float64]) -> SelfTest:
    own, other_puzzles, other_variants = answers.swapaxes(0, 1)
    exact_share, cell_share = own.mean(axis=1).tolist()
    return SelfTest(
        num_demonstrations=len(cases),
        num_puzzles=len({case.puzzle_name for case in cases}),
        exact_share=exact_share,
        cell_share=cell_share,
        other_puzzles=_compare(own, other_puzzles),
        other_variants=_compare(own, other_variants),
    )


def _compare(own: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> Rival | None:
    """Compare answers, [2, N] each, where the other has any."""
    is_asked = ~np.isnan(other[0])
    num_asked = int(is_asked.sum())
    if num_asked < 2:
        return None
    exact_share, cell_share = other[:, is_asked].mean(axis=1).tolist()
    gains = (own[1] - other[1])[is_asked]
    return Rival(
        exact_share=exact_share,
        cell_share=cell_share,
        gain=float(gains.mean()),
        gain_error=float(gains.std(ddof=1) / num_asked**0.5),
    )
