"""The alignment self-test: do a checkpoint's rows belong to the names they are listed under?"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from augment import IDENTITY, Grid, Pair, Puzzle, decode, encode
from hrm_core import Engine, Halting, Sample
from service.enrolment import Registrar
from service.errors import AlignmentError, UnknownPuzzle

MIN_DEMONSTRATIONS, MAX_DEMONSTRATIONS = 8, 32
MIN_EXACT_SHARE = 0.5
MIN_RATIO = 5.0
# Cells tell a half-trained checkpoint from a misaligned one long before whole grids come out right.
UNDERFITTED_MARGIN = 0.05


@dataclass(frozen=True, slots=True)
class Alignment:
    """What known demonstrations gave through their own rows and through other puzzles' rows.

    Shares are of `num_demonstrations`; `cell_share_*` of the cells of their outputs.
    """

    num_demonstrations: int
    num_puzzles: int
    exact_share_own: float
    exact_share_shuffled: float
    cell_share_own: float
    cell_share_shuffled: float

    @property
    def is_aligned(self) -> bool:
        """At least half exact, and at least five times as many as with the rows shuffled."""
        return (
            self.exact_share_own >= MIN_EXACT_SHARE
            and self.exact_share_own >= MIN_RATIO * self.exact_share_shuffled
        )

    @property
    def verdict(self) -> str:
        """The finding in a sentence."""
        if self.is_aligned:
            return "aligned: the rows belong to their names"
        if self.exact_share_own >= MIN_EXACT_SHARE:
            return (
                "not told apart: other puzzles' rows answer nearly as well, so the demonstrations "
                "are too easy to prove anything. Give others with --tasks"
            )
        if self.cell_share_own >= self.cell_share_shuffled + UNDERFITTED_MARGIN:
            return (
                "underfitted: the rows belong to their names (cells come out better through them "
                "than through others), but too few grids are exact. Train longer"
            )
        return (
            "misaligned: a puzzle's own row serves no better than another's. identifiers.json (or "
            "the row order it lists) is not this table's"
        )


def check_alignment(
    engine: Engine,
    registrar: Registrar,
    puzzles: Sequence[Puzzle] | None = None,
    on_step: Callable[[], None] = lambda: None,
) -> Alignment:
    """Run 8 to 32 known demonstrations, untransformed, through their own rows and through others'.

    `puzzles` None takes the probes of the checkpoint's puzzles.json. Puzzles that the checkpoint
    does not know are passed over.

    Raises: AlignmentError when fewer than 8 known demonstrations of two puzzles remain.
    """
    registrar.check_arc()
    if puzzles is None:
        puzzles = registrar.index.probes if registrar.index else ()
    cases = _choose_demonstrations(registrar, puzzles)
    num_puzzles = len({row for row, _ in cases})
    if len(cases) < MIN_DEMONSTRATIONS or num_puzzles < 2:
        raise AlignmentError(
            f"{registrar.checkpoint.folder}: {len(cases)} known demonstrations of {num_puzzles} "
            f"puzzle(s) at hand, {MIN_DEMONSTRATIONS} of 2 are needed. Give known puzzles with "
            "--tasks, or write probes with `hrm-arc index`"
        )
    own = np.array([row for row, _ in cases], dtype=np.int64)
    pairs = [pair for _, pair in cases]
    answers_own = _answer(engine, own, pairs, on_step)
    answers_shuffled = _answer(engine, _shuffle(own), pairs, on_step)
    exact_own, cells_own = _compare(answers_own, pairs)
    exact_shuffled, cells_shuffled = _compare(answers_shuffled, pairs)
    return Alignment(len(cases), num_puzzles, exact_own, exact_shuffled, cells_own, cells_shuffled)


def _choose_demonstrations(
    registrar: Registrar, puzzles: Sequence[Puzzle]
) -> list[tuple[int, Pair]]:
    """Take demonstrations puzzle by puzzle, one of each before a second of any."""
    per_puzzle: list[tuple[int, list[Pair]]] = []
    canvas = registrar.checkpoint.config.canvas
    for puzzle in puzzles:
        try:
            enrolment = registrar.enrol(puzzle)
        except UnknownPuzzle:
            continue
        if enrolment.variants[0] == IDENTITY:
            fitting = [
                pair for pair in puzzle.train if max(*pair.input.size, *pair.output.size) <= canvas
            ]
            per_puzzle.append((int(enrolment.rows[0]), fitting))
    most = max((len(pairs) for _, pairs in per_puzzle), default=0)
    cases = [
        (row, pairs[turn]) for turn in range(most) for row, pairs in per_puzzle if turn < len(pairs)
    ]
    return cases[:MAX_DEMONSTRATIONS]


def _shuffle(rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Give every demonstration another puzzle's row."""
    distinct = np.unique(rows)
    following = dict(zip(distinct.tolist(), np.roll(distinct, -1).tolist(), strict=True))
    return np.array([following[row] for row in rows.tolist()], dtype=np.int64)


def _answer(
    engine: Engine,
    rows: npt.NDArray[np.int64],
    pairs: Sequence[Pair],
    on_step: Callable[[], None],
) -> list[npt.NDArray[np.uint8]]:
    checkpoint = engine.checkpoint
    tokens = encode([pair.input for pair in pairs], checkpoint.config.canvas)
    puzzle_rows = checkpoint.rows.gather(rows)
    job = object()
    engine.add(
        [Sample((job, i), tokens[i], puzzle_rows[i]) for i in range(len(pairs))],
        job=job,
        halting=Halting.FIXED,
    )
    answers: dict[int, npt.NDArray[np.uint8]] = {}
    while not engine.is_idle:
        for outcome in engine.step():
            answers[outcome.sample_id[1]] = outcome.tokens
        on_step()
    return [answers[i] for i in range(len(pairs))]


def _compare(
    answers: Sequence[npt.NDArray[np.uint8]], pairs: Sequence[Pair]
) -> tuple[float, float]:
    """Share of outputs exact, and of output cells right."""
    grids = decode(np.stack(answers))
    exact = [
        cells is not None and Grid(cells) == pair.output
        for cells, pair in zip(grids, pairs, strict=True)
    ]
    canvas = int(len(answers[0]) ** 0.5)
    right = [
        (tokens == target)[target > 1].mean()
        for tokens, target in zip(
            answers, encode([pair.output for pair in pairs], canvas), strict=True
        )
    ]
    return float(np.mean(exact)), float(np.mean(right))
