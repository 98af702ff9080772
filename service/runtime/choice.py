"""Which checkpoint answers a puzzle for which none is named: one rule for API, worker and commands.

A checkpoint that knows the puzzle answers it. Where none does, the best base that it fits is
adapted to it. The API decides by this rule before a job is queued, and the worker again.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from augment import KINDS, KindName, Puzzle
from service.wire.checkpoint import CheckpointRecord
from service.wire.errors import CanvasExceeded, KindUnserved, UnknownPuzzle
from service.wire.options import Adapt


@dataclass(frozen=True, slots=True)
class Candidate:
    """A checkpoint that may answer.

    `canvas` is the longest side of a grid that it reads; with `crop` a sequence is the part of it
    that a puzzle needs. `is_base`: whether it may be adapted to puzzles that nobody knows.
    """

    name: str
    canvas: int
    crop: bool
    num_puzzles: int
    is_base: bool = True
    kind: KindName = "arc"

    @classmethod
    def of(cls, record: CheckpointRecord) -> "Candidate":
        """Return the candidate that a worker's record describes."""
        return cls(
            record.name, record.canvas, record.crop, record.puzzles, record.base, record.kind
        )


@dataclass(frozen=True, slots=True)
class Choice:
    """The name of the checkpoint that answers, and whether it is adapted to the puzzle first."""

    checkpoint: str
    is_adapted: bool


def choose_checkpoint(
    puzzle: Puzzle,
    candidates: Sequence[Candidate],
    known_to: Collection[str],
    *,
    adapt: Adapt,
    default: str | None,
) -> Choice:
    """Choose the checkpoint that answers a puzzle.

    Only those of its kind are considered. `known_to` names the candidates with rows for it. Of
    those that it fits the default one comes first, then the others by name. Unless `adapt` is
    "never", the best base answers what is known to none; with "always" it answers every puzzle. A
    puzzle with rules is known to all.

    Raises: KindUnserved; CanvasExceeded where the puzzle fits no checkpoint that could answer it;
    UnknownPuzzle where none knows it and none may be adapted.
    """
    candidates = _of_kind(puzzle, candidates)
    has_own_rows = KINDS[puzzle.kind].has_own_rows
    if not has_own_rows:
        known_to = [one.name for one in candidates]
    fitting = [one for one in candidates if puzzle.fits(one.canvas)]
    knowing = [one.name for one in fitting if one.name in known_to]
    if knowing and not (adapt == "always" and has_own_rows):
        return Choice(min(knowing, key=lambda name: (name != default, name)), is_adapted=False)
    bases = [] if adapt == "never" else [one for one in candidates if one.is_base]
    best = best_base([one for one in bases if one in fitting], default)
    if best is not None:
        return Choice(best.name, is_adapted=True)
    if bases or (candidates and not fitting):
        raise _too_large(puzzle, max(one.canvas for one in bases or candidates))
    why = (
        "`adapt: never` rules that out" if adapt == "never" else "no checkpoint is a base for that"
    )
    raise UnknownPuzzle(
        f"no checkpoint has trained rows for puzzle {puzzle.name!r}, which is identified by its "
        "demonstrations, not by its name. It needs adaptation (test-time training on its "
        f"demonstrations) first, and {why}"
    )


def _of_kind(puzzle: Puzzle, candidates: Sequence[Candidate]) -> list[Candidate]:
    """Return the checkpoints for puzzles of this kind.

    Raises: KindUnserved where there are none, but some for others.
    """
    matching = [one for one in candidates if one.kind == puzzle.kind]
    if candidates and not matching:
        raise KindUnserved(
            f"no checkpoint for {KINDS[puzzle.kind].title} puzzles is served: add one that was "
            "trained on them"
        )
    return matching


def best_base(bases: Iterable[Candidate], default: str | None) -> Candidate | None:
    """Return the base that is adapted to a puzzle that fits all of these; None for no bases.

    Those with crop come before those that always compute the whole canvas, then the larger canvas,
    then the one that knows more puzzles, then the default one.
    """
    return min(
        bases,
        key=lambda one: (
            not one.crop,
            -one.canvas,
            -one.num_puzzles,
            one.name != default,
            one.name,
        ),
        default=None,
    )


def _too_large(puzzle: Puzzle, canvas: int) -> CanvasExceeded:
    side = max(max(grid.size) for grid in puzzle.grids)
    return CanvasExceeded(
        f"puzzle {puzzle.name!r} has a grid of {side} cells a side, and the largest canvas there "
        f"is takes {canvas} x {canvas}: leave it out, or add a checkpoint with a larger canvas",
        canvas,
    )
