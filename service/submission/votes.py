"""Votes on the puzzles of a submission: those of one round, and the sum of all rounds."""

from dataclasses import dataclass, replace
from typing import Any

from augment import Grid
from voting import Candidate, GridVotes, Ranking, Tally, rank


@dataclass(frozen=True, slots=True)
class InputVotes:
    """The votes on one test input; `num_unlisted` are for grids that a service did not list.

    `confidence` is a service's, for each attempt; it is of these votes alone, so a sum has none.
    """

    tally: Tally
    num_unlisted: int = 0
    num_segments: int = 0
    confidence: tuple[float, ...] = ()

    @property
    def num_votes(self) -> int:
        """The ballots that name a grid."""
        return self.tally.num_votes + self.num_unlisted

    @property
    def num_ballots(self) -> int:
        """The ballots, abstentions included."""
        return self.tally.num_ballots + self.num_unlisted

    def merge(self, other: "InputVotes") -> "InputVotes":
        """Add the votes of other variants."""
        return InputVotes(
            self.tally.merge(other.tally),
            self.num_unlisted + other.num_unlisted,
            self.num_segments + other.num_segments,
        )

    def candidates(self, ranking: Ranking) -> tuple[Candidate, ...]:
        """Return the listed grids, the best first; shares are of all votes."""
        listed = rank(self.tally, ranking)
        if not self.num_unlisted:
            return listed
        return tuple(replace(one, share=one.count / self.num_votes) for one in listed)

    def document(self) -> dict[str, Any]:
        """Return the votes as JSON values, with grids as rows of digits to halve their size."""
        document: dict[str, Any] = {
            "grids": [[_digits(v.grid), v.count, v.q_sum] for v in self.tally.entries],
            "abstained": self.tally.abstained,
            "unlisted": self.num_unlisted,
            "segments": self.num_segments,
        }
        return document | ({"confidence": list(self.confidence)} if self.confidence else {})

    @classmethod
    def from_document(cls, document: Any) -> "InputVotes":
        """Read a document of votes.

        Raises: KeyError, TypeError, ValueError, PuzzleError for anything else.
        """
        votes = [
            GridVotes(_grid(digits), int(count), int(q_sum))
            for digits, count, q_sum in document["grids"]
        ]
        return cls(
            Tally.of(votes, int(document["abstained"])),
            int(document["unlisted"]),
            int(document["segments"]),
            tuple(map(float, document.get("confidence", ()))),
        )


@dataclass(frozen=True, slots=True)
class RoundVotes:
    """The votes of one round on a puzzle: those of the variants from `start` to `stop`.

    With `start` 0 they replace all votes before. `is_partial`: the time ended before all of these
    variants had voted. `is_settled`: no further variant can change the attempts, or none is left.
    `voters`: the checkpoints that voted.

    Units: elapsed_s in seconds since the beginning of the run.
    """

    puzzle_id: str
    start: int
    stop: int
    votes: tuple[InputVotes, ...]
    is_settled: bool
    voters: tuple[str, ...]
    elapsed_s: float
    is_partial: bool = False

    def document(self) -> dict[str, Any]:
        """Return the votes as JSON values."""
        return {
            "puzzle": self.puzzle_id,
            "start": self.start,
            "stop": self.stop,
            "partial": self.is_partial,
            "settled": self.is_settled,
            "voters": list(self.voters),
            "elapsed_s": round(self.elapsed_s, 3),
            "tests": [votes.document() for votes in self.votes],
        }

    @classmethod
    def from_document(cls, document: Any) -> "RoundVotes":
        """Read a document of a round.

        Raises: KeyError, TypeError, ValueError, PuzzleError for anything else.
        """
        return cls(
            puzzle_id=str(document["puzzle"]),
            start=int(document["start"]),
            stop=int(document["stop"]),
            votes=tuple(map(InputVotes.from_document, document["tests"])),
            is_settled=bool(document["settled"]),
            voters=tuple(map(str, document["voters"])),
            elapsed_s=float(document["elapsed_s"]),
            is_partial=bool(document["partial"]),
        )


@dataclass(frozen=True, slots=True)
class Standing:
    """The votes on a puzzle so far: those of its first `stop` variants, and of some after them.

    `num_rounds` is the number of rounds they came from.
    """

    stop: int = 0
    whole: tuple[InputVotes, ...] = ()
    partial: tuple[InputVotes, ...] = ()
    is_settled: bool = False
    voters: tuple[str, ...] = ()
    num_rounds: int = 0

    @property
    def votes(self) -> tuple[InputVotes, ...]:
        """All votes on each test input; empty before the first round."""
        return _merge(self.whole, self.partial)

    @property
    def num_votes(self) -> int:
        """The ballots of all test inputs that name a grid."""
        return sum(votes.num_votes for votes in self.votes)

    def add(self, one: RoundVotes) -> "Standing":
        """Add the votes of a round; one that does not follow the last one is ignored."""
        num_rounds = self.num_rounds + 1
        if one.is_partial:
            if one.start != self.stop:
                return self  # restarted and cut short: it has fewer votes than there are
            return replace(self, partial=one.votes, voters=self._joined(one), num_rounds=num_rounds)
        if one.start not in (0, self.stop):
            return self
        return Standing(
            stop=one.stop,
            whole=_merge(self.whole if one.start else (), one.votes),
            is_settled=one.is_settled,
            voters=self._joined(one),
            num_rounds=num_rounds,
        )

    def lead(self, num_attempts: int, ranking: Ranking) -> float:
        """Return the attempts' share of the votes less that of the next candidate.

        The order of the attempts does not matter to a score. Of several test inputs the one with
        the smallest lead counts.

        Units: 0..1; 0 before the first round.
        """
        leads = []
        for votes in self.votes:
            shares = [one.share for one in votes.candidates(ranking)[: num_attempts + 1]]
            leads.append(sum(shares[:num_attempts]) - sum(shares[num_attempts:]))
        return min(leads, default=0.0)

    def _joined(self, one: RoundVotes) -> tuple[str, ...]:
        """Return all checkpoints that voted; one with few variants is not in every round."""
        return tuple(dict.fromkeys((*self.voters, *one.voters))) if one.start else one.voters


def _merge(one: tuple[InputVotes, ...], other: tuple[InputVotes, ...]) -> tuple[InputVotes, ...]:
    if not one or not other:
        return one or other
    return tuple(mine.merge(theirs) for mine, theirs in zip(one, other, strict=True))


def _digits(grid: Grid) -> str:
    return "/".join("".join(map(str, row)) for row in grid.to_rows())


def _grid(digits: str) -> Grid:
    return Grid.from_rows([[int(cell) for cell in row] for row in digits.split("/")])
