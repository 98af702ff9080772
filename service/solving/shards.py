"""The votes of some of a puzzle's variants as numbers by name, which add up to those of all."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from augment import Grid
from service.solving.input_votes import CountedVotes
from service.solving.members import Member
from service.wire.errors import EnrolmentError
from service.wire.options import SolveOptions
from voting import GridVotes, Tally

# The name of the number of ballots on all test inputs; the other names are of one of them.
OUTCOMES: Final = "outcomes"
_COUNT, _Q, _ABSTAINED, _SEGMENTS = "count", "q", "abstained", "segments"


def num_drawn(member: Member, options: SolveOptions) -> int:
    """Return how many variants of a member vote."""
    num_rows = len(member.puzzle_rows.variants)
    return min(options.variants or num_rows, num_rows)


def take_part(member: Member, part: range, num_variants: int, options: SolveOptions) -> Member:
    """Keep a part of the `num_variants` that vote.

    Larger crops are not tried: whether outputs were cut is seen in the votes of all.

    Raises: EnrolmentError where another number votes than when the job was divided.
    """
    if num_drawn(member, options) != num_variants:
        raise EnrolmentError(
            f"{member.name}: {num_drawn(member, options)} variants vote here, and {num_variants} "
            "where the job was divided. Give all workers the same puzzles.json"
        )
    rows = member.puzzle_rows.draw_more(part.start, part.stop, options.seed)
    return replace(member, puzzle_rows=rows, crop=replace(member.crop, larger=()))


def to_counts(per_input: Sequence[CountedVotes]) -> dict[str, int]:
    """Write the votes on each test input as numbers; those that are 0 are left out."""
    counts = {OUTCOMES: sum(votes.tally.num_ballots for votes in per_input)}
    for index, (tally, segments) in enumerate(per_input):
        counts[f"{index} {_ABSTAINED}"] = tally.abstained
        counts[f"{index} {_SEGMENTS}"] = segments
        for entry in tally.entries:
            grid = _write_grid(entry.grid)
            counts[f"{index} {_COUNT} {grid}"] = entry.count
            counts[f"{index} {_Q} {grid}"] = entry.q_sum
    return {name: number for name, number in counts.items() if number}


def from_counts(counts: Mapping[str, int], num_inputs: int) -> tuple[CountedVotes, ...]:
    """Read the votes on each test input, of one part or of several added up."""
    entries: list[list[GridVotes]] = [[] for _ in range(num_inputs)]
    for name, number in counts.items():
        index, _, rest = name.partition(" ")
        kind, _, grid = rest.partition(" ")
        if kind == _COUNT:
            q_sum = counts.get(f"{index} {_Q} {grid}", 0)
            entries[int(index)].append(GridVotes(_read_grid(grid), number, q_sum))
    return tuple(
        CountedVotes(
            Tally.of(found, counts.get(f"{index} {_ABSTAINED}", 0)),
            counts.get(f"{index} {_SEGMENTS}", 0),
        )
        for index, found in enumerate(entries)
    )


def _write_grid(grid: Grid) -> str:
    rows: Iterable[list[int]] = grid.to_rows()
    return "/".join("".join(map(str, row)) for row in rows)


def _read_grid(text: str) -> Grid:
    return Grid(np.array([list(map(int, row)) for row in text.split("/")], dtype=np.uint8))
