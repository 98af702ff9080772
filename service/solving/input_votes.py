"""The votes of one checkpoint on one test input."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from augment import NUM_DIHEDRALS, Grid
from hrm_core import Outcome
from service.wire.answer import VariantTrace
from voting import Tally


class CountedVotes(NamedTuple):
    """The votes on a test input, and the segments that they took."""

    tally: Tally
    segments: int


@dataclass(slots=True)
class InputVotes:
    """A checkpoint's votes on one test input, made on a square of `side` cells.

    `larger` are the squares to try if it is too small, `before` the votes on the square before.
    `is_final`: no further ballots come. The variants `start` to `stop` were asked for last; all of
    ARC's at once. `max_segments` is set where the votes before, with fewer, broke the rules.
    `held` are outcomes that are not counted yet, by variant.
    """

    side: int
    larger: tuple[int, ...]
    stop: int
    start: int = 0
    before: "InputVotes | None" = None
    is_final: bool = False
    max_segments: int | None = None
    tally: Tally = field(default_factory=Tally.empty)
    held: dict[int, Outcome] = field(default_factory=dict)
    traces: dict[int, VariantTrace] = field(default_factory=dict)

    @property
    def agree(self) -> bool:
        """Whether at least half of the ballots that name a grid name one of a few.

        Each symmetry shows another corner of an output that is cut, so as many grids are a few. A
        network that knows nothing names a grid for each variant.
        """
        counts = sorted((entry.count for entry in self.tally.entries), reverse=True)
        return 2 * sum(counts[:NUM_DIHEDRALS]) >= self.tally.num_votes

    def are_mostly(self, matches: Callable[[Grid], bool]) -> bool:
        """Return whether at least half of the ballots that name a grid name a matching one."""
        num_matching = sum(entry.count for entry in self.tally.entries if matches(entry.grid))
        return 0 < self.tally.num_votes <= 2 * num_matching
