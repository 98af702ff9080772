"""Puzzles that are adapted to together: their names, their budget, and how they are found again."""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from augment import Dialect, Puzzle
from service.adaptation.cache import Entry
from service.solving.records import Budget, read_index
from service.wire.errors import PuzzleIndexError

# Rows, data and checks grow with them, and all wait for the whole. No more than a folder has probes
# for, from which an interrupted adaptation gets its puzzles back.
MAX_TOGETHER: Final = 16


def budget_together(asked: Budget, num_puzzles: int, max_s: float | None) -> Budget:
    """Return the budget for several puzzles: what each asked for, times the root of their number.

    Puzzles help each other, and a batch holds samples of all of them, so four take twice as long as
    one and not four times. It is at most `max_s`, but never less than was asked.

    Units: seconds.
    """
    factor = math.sqrt(num_puzzles)
    seconds, steps = asked.seconds, asked.steps
    if seconds is not None:
        longest_s = math.inf if max_s is None else max(seconds, max_s)
        seconds = min(seconds * factor, longest_s)
    return Budget(seconds=seconds, steps=None if steps is None else math.ceil(steps * factor))


def unite(puzzles: Iterable[Puzzle]) -> tuple[Puzzle, ...]:
    """Return each puzzle once, in an order that does not depend on who came first.

    Of several, those are renamed that share a name, or have one that reads as a variant of another.
    """
    by_hash: dict[str, Puzzle] = {}
    for puzzle in puzzles:
        by_hash.setdefault(puzzle.demonstrations_hash, puzzle)
    ordered = sorted(by_hash.items())
    if len(ordered) < 2:
        return tuple(by_hash.values())
    names = Counter(puzzle.name for puzzle in by_hash.values())
    return tuple(
        puzzle
        if names[puzzle.name] == 1 and _is_plain(puzzle.name)
        else replace(puzzle, name=f"puzzle-{digest[:16]}")
        for digest, puzzle in ordered
    )


def _is_plain(name: str) -> bool:
    return Dialect.TRM.separator not in name and Dialect.HRM.puzzle_of(name) == name


def puzzles_of(entry: Entry, puzzle: Puzzle) -> tuple[Puzzle, ...] | None:
    """Return the puzzles of an entry, of which one is given; None where they are not all there.

    They are there as they were trained: another upload may have them in another order.
    """
    try:
        index = read_index(entry.folder)
    except PuzzleIndexError:
        return None
    known = {puzzle.demonstrations_hash: puzzle}
    known |= {probe.demonstrations_hash: probe for probe in (index.probes if index else ())}
    found = [
        replace(known[digest], name=name)
        for name, digest in entry.record.puzzles.items()
        if digest in known
    ]
    return tuple(found) if len(found) == len(entry.record.puzzles) else None
