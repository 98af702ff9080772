"""The self-test: known demonstrations are answered through their own rows and through others."""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import zip_longest
from typing import NamedTuple

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
from service.solving.self_test.result import Rival, SelfTest
from service.wire.checkpoint import Finding
from service.wire.errors import AlignmentError, UnknownPuzzle

MIN_DEMONSTRATIONS, MAX_DEMONSTRATIONS = 8, 32
# Where the first few demonstrations take longer than this and give a clear result, they suffice.
LONG_S = 20.0


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


class _SampleId(NamedTuple):
    arm: int
    case_index: int


@dataclass(frozen=True, slots=True)
class _Answers:
    """Answers through one kind of row: whether each case is exact, and its share of right cells.

    NaN stands for a case without a row of that kind.
    """

    is_exact: npt.NDArray[np.float64]
    cell_share: npt.NDArray[np.float64]

    def join(self, other: "_Answers") -> "_Answers":
        """Append the answers to further cases."""
        return _Answers(
            np.concatenate((self.is_exact, other.is_exact)),
            np.concatenate((self.cell_share, other.cell_share)),
        )


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
    return _summarise(cases, [one.join(two) for one, two in zip(answers, more, strict=True)])


def _choose_cases(row_index: RowIndex, puzzles: Sequence[Puzzle]) -> list[_Case]:
    """Take demonstrations puzzle by puzzle, one of each before a second of any."""
    canvas = row_index.checkpoint.config.canvas
    known: list[tuple[Puzzle, PuzzleRows, int]] = []
    for puzzle in puzzles:
        with suppress(UnknownPuzzle, CanvasError):
            known.append((puzzle, row_index.find(puzzle), row_index.crop_of(puzzle).size))
    # Small squares first: they are answered sooner, and may have been trained before larger ones.
    known.sort(key=lambda one: one[2])
    wanted: list[list[tuple[PuzzleRows, PuzzleRows | None, int, Pair, int]]] = []
    for position, (puzzle, puzzle_rows, side) in enumerate(known):
        other = known[(position + 1) % len(known)][1] if len(known) > 1 else None
        fitting = [
            pair for pair in puzzle.train if pair.input.fits(canvas) and pair.output.fits(canvas)
        ]
        indices = range(min(len(puzzle_rows.variants), MAX_DEMONSTRATIONS))
        wanted.append(
            [(puzzle_rows, other, index, pair, side) for index in indices for pair in fitting]
        )
    in_turn = [one for turn in zip_longest(*wanted) for one in turn if one is not None]
    return [
        _make_case(puzzle_rows, other, index, pair, side)
        for puzzle_rows, other, index, pair, side in in_turn[:MAX_DEMONSTRATIONS]
    ]


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


def _answer(engine: Engine, cases: Sequence[_Case], on_step: Callable[[], None]) -> list[_Answers]:
    """Answer cases through their own rows, other puzzles' rows and other variants' rows."""
    checkpoint = engine.checkpoint
    asked = [
        (_SampleId(arm, index), row)
        for index, case in enumerate(cases)
        for arm, row in enumerate((case.own_row, case.other_puzzle_row, case.other_variant_row))
        if row is not None
    ]
    rows = checkpoint.rows.gather([row for _, row in asked])
    engine.add(
        [
            Sample(sample_id, cases[sample_id.case_index].input, rows[i])
            for i, (sample_id, _) in enumerate(asked)
        ],
        job="self-test",
        halting=Halting.FIXED,
    )
    is_exact, cell_share = np.full((2, 3, len(cases)), np.nan)
    while not engine.is_idle:
        for outcome in engine.step():
            arm, index = outcome.sample_id
            case = cases[index]
            (grid,) = decode_variants(outcome.tokens[None], [case.variant])
            is_exact[arm, index] = grid is not None and Grid(grid) == case.output
            is_cell = case.target >= FIRST_COLOUR
            cell_share[arm, index] = (outcome.tokens == case.target)[is_cell].mean()
        on_step()
    return [_Answers(*arm) for arm in zip(is_exact, cell_share, strict=True)]


def _summarise(cases: Sequence[_Case], answers: Sequence[_Answers]) -> SelfTest:
    own, *others = answers
    rivals = [_compare(own, other) for other in others]
    return SelfTest(
        num_demonstrations=len(cases),
        num_puzzles=len({case.puzzle_name for case in cases}),
        exact_share=float(own.is_exact.mean()),
        cell_share=float(own.cell_share.mean()),
        other_puzzles=rivals[0],
        other_variants=rivals[1],
    )


def _compare(own: _Answers, other: _Answers) -> Rival | None:
    is_asked = ~np.isnan(other.is_exact)
    num_asked = int(is_asked.sum())
    if num_asked < 2:
        return None
    gains = (own.cell_share - other.cell_share)[is_asked]
    return Rival(
        exact_share=float(other.is_exact[is_asked].mean()),
        cell_share=float(other.cell_share[is_asked].mean()),
        gain=float(gains.mean()),
        gain_error=float(gains.std(ddof=1) / num_asked**0.5),
    )
