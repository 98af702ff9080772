"""The order of rounds: which puzzle gets the votes of which variants next."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from service.submission.votes import Standing

# The number of variants that have voted after each round; then all there are.
ROUND_STOPS = (8, 32, 128, 512)


@dataclass(frozen=True, slots=True)
class Round:
    """A round of votes on one puzzle: the variants from `start` to `stop`, or to the last.

    `is_last`: the plan has no round after it.
    """

    puzzle_id: str
    start: int
    stop: int | None
    is_last: bool


def round_stops(num_variants: int | None, *, is_timed: bool) -> tuple[int | None, ...]:
    """Return how many variants of each puzzle have voted after each round.

    Without a time limit one round is the whole vote: that costs least, and the result does not
    depend on a clock.
    """
    if not is_timed:
        return (num_variants,)
    fitting = [stop for stop in ROUND_STOPS if num_variants is None or stop < num_variants]
    return (*fitting, num_variants)


class Plan:
    """Hands out rounds: every puzzle's first before any second, then the closest votes first.

    `standings` are read, not changed; `lead` rates how clear a standing is. `is_whole`: every round
    begins with the first variant, for a service that cannot begin at a later one.
    """

    def __init__(
        self,
        puzzle_ids: Iterable[str],
        standings: Mapping[str, Standing],
        stops: Sequence[int | None],
        lead: Callable[[Standing], float],
        *,
        is_whole: bool = False,
    ) -> None:
        self._standings, self._stops, self._lead = standings, stops, lead
        self._is_whole = is_whole
        self._orders = {puzzle_id: order for order, puzzle_id in enumerate(puzzle_ids)}
        self._taken: set[str] = set()
        # Puzzles in progress stay in here; a lead is computed only when votes have arrived.
        self._open = {
            puzzle_id: self._urgency(puzzle_id)
            for puzzle_id in self._orders
            if not standings[puzzle_id].is_settled
        }

    @property
    def num_open(self) -> int:
        """Puzzles with rounds left, those in progress included."""
        return len(self._open)

    def take(self) -> Round | None:
        """Return the next round; None while no puzzle is waiting for one."""
        waiting = [puzzle_id for puzzle_id in self._open if puzzle_id not in self._taken]
        if not waiting:
            return None
        puzzle_id = min(waiting, key=self._open.__getitem__)
        self._taken.add(puzzle_id)
        standing = self._standings[puzzle_id]
        start = 0 if self._is_whole else standing.stop
        number = self._round_of(standing)
        return Round(puzzle_id, start, self._stops[number], number == len(self._stops) - 1)

    def close(self, puzzle_id: str) -> None:
        """End the round of a puzzle, which gets another one unless it is settled."""
        self._taken.discard(puzzle_id)
        if self._standings[puzzle_id].is_settled:
            self._open.pop(puzzle_id, None)
        else:
            self._open[puzzle_id] = self._urgency(puzzle_id)

    def drop(self, puzzle_id: str) -> None:
        """Give a puzzle no further rounds."""
        self._taken.discard(puzzle_id)
        self._open.pop(puzzle_id, None)

    def _urgency(self, puzzle_id: str) -> tuple[int, float, int]:
        standing = self._standings[puzzle_id]
        lead = self._lead(standing) if standing.num_rounds else 0.0
        return self._round_of(standing), lead, self._orders[puzzle_id]

    def _round_of(self, standing: Standing) -> int:
        """Return the number of the first round beyond the variants that have voted."""
        for number, stop in enumerate(self._stops):
            if stop is None or stop > standing.stop:
                return number
        return len(self._stops) - 1
