"""Members of a vote: checkpoints with rows for a puzzle, and their votes on it."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from augment import ARC, CropChoice, Grid, Kind, Puzzle, touches_edge
from hrm_core import Engine, Outcome, Sample
from service.solving.answer import (
    count_predictions,
    read_traces,
)
from service.solving.confidence import Calibration, VoteSource
from service.solving.enrolment import PuzzleRows, RowIndex
from service.solving.input_votes import CountedVotes, InputVotes
from service.wire.answer import AdaptationSummary, MemberAnswer, MemberShare, VariantTrace
from voting import Ranking, Tally, count_ballots

# Variants of a puzzle with rules come in waves, since mostly one of the first obeys them.
FIRST_WAVE, WAVE_GROWTH = 8, 4
# Of its variants, once none of all has obeyed the rules: more never made answers worse.
DEEP_SEGMENTS = 64


class SampleId(NamedTuple):
    """Names a sample within its job: one variant of one test input, for one member of the vote."""

    member_index: int
    test_index: int
    variant_index: int


@dataclass(frozen=True, slots=True)
class Member:
    """A checkpoint that votes on a puzzle, under a name that is unique in the vote.

    `crop` is the square on which it reads the puzzle's grids, and the larger ones to try;
    `calibration` is what gives its answers a confidence.
    """

    name: str
    puzzle_rows: PuzzleRows
    crop: CropChoice
    adaptation: AdaptationSummary | None = None
    calibration: Calibration | None = None
    kind: Kind = ARC

    @classmethod
    def find(
        cls,
        row_index: RowIndex,
        puzzle: Puzzle,
        *,
        name: str | None = None,
        adaptation: AdaptationSummary | None = None,
        calibration: Calibration | None = None,
    ) -> "Member":
        """Find a checkpoint's rows for a puzzle; `name` None takes the folder's.

        `calibration` None takes that of the folder, if it has one.

        Raises: UnknownPuzzle where it has none; EnrolmentError; CanvasError when a grid is larger
        than the canvas.
        """
        puzzle_rows = row_index.find(puzzle)
        if adaptation is None and row_index.adaptation is not None:
            adaptation = row_index.adaptation.summary(
                is_reused=True, demonstrations_hash=puzzle.demonstrations_hash
            )
        return cls(
            name or row_index.name,
            puzzle_rows,
            row_index.crop_of(puzzle),
            adaptation,
            calibration or row_index.calibration,
            row_index.kind,
        )

    def draw(self, num_variants: int | None, seed: int) -> "Member":
        """Keep some of the variants, as `PuzzleRows.draw` does."""
        return replace(self, puzzle_rows=self.puzzle_rows.draw(num_variants, seed))

    def confidence(
        self, tally: Tally, ranking: Ranking, test_input: Grid, num_attempts: int
    ) -> tuple[float, ...]:
        """Return the probability of each attempt by the votes on a test input, the best first.

        Empty where the checkpoint has no calibration for its kind of rows.
        """
        if self.calibration is None or self.puzzle_rows.kind == "rules":
            return ()
        source = VoteSource.of(self.puzzle_rows.kind, self.adaptation)
        return self.calibration.confidence(tally, ranking, test_input, num_attempts, source)


class MemberVote:
    """The votes of one member, and the engine that computes them.

    For each test input, the answers of the first `num_traced` variants are kept, and of as many of
    them as `prediction_bytes` hold what they were after each segment.
    """

    def __init__(
        self, member: Member, num_inputs: int, num_traced: int = 0, prediction_bytes: int = 0
    ) -> None:
        self.member = member
        # Only while samples are in it: an engine leaves the device once nothing refers to it.
        self.engine: Engine | None = None
        self.num_outcomes, self.num_asked = 0, num_inputs * self._first_wave
        crop = member.crop
        self._votes = [
            InputVotes(crop.size, crop.larger, self._first_wave) for _ in range(num_inputs)
        ]
        self._num_segments = [0] * num_inputs
        self._num_traced, self._prediction_bytes = num_traced, prediction_bytes

    @property
    def num_variants(self) -> int:
        """Number of ballots for each test input."""
        return len(self.member.puzzle_rows.variants)

    @property
    def _first_wave(self) -> int:
        has_waves = self.member.kind.rules is not None
        return min(FIRST_WAVE, self.num_variants) if has_waves else self.num_variants

    @property
    def counted(self) -> tuple[CountedVotes, ...]:
        """The current votes on each test input."""
        tallies = [votes.tally for votes in self._votes]
        return tuple(map(CountedVotes, tallies, self._num_segments))

    def take_over(self, counted: Sequence[CountedVotes]) -> None:
        """Take votes that were counted elsewhere; no more come, unless on a larger crop."""
        for votes, (tally, _) in zip(self._votes, counted, strict=True):
            votes.tally, votes.is_final = tally, True
            self.num_outcomes += tally.num_ballots
        self._num_segments = [segments for _, segments in counted]

    def tally(self, test_index: int) -> Tally:
        """Return the current votes on a test input."""
        return self._votes[test_index].tally

    def num_outstanding(self, test_index: int) -> int:
        """Count the ballots on a test input that may still come."""
        votes = self._votes[test_index]
        return 0 if votes.is_final else votes.stop - votes.tally.num_ballots

    def describe(self, engine: Engine, max_segments: int | None) -> MemberAnswer:
        """Describe how the member is run by an engine."""
        checkpoint, puzzle_rows = engine.checkpoint, self.member.puzzle_rows
        return MemberAnswer(
            checkpoint=self.member.name,
            checkpoint_sha256=checkpoint.sha256,
            enrolled_as=puzzle_rows.puzzle_name,
            enrolment=puzzle_rows.kind,
            adaptation=self.member.adaptation,
            max_segments=max_segments or checkpoint.config.max_segments,
            precision=engine.precision,
            attention=engine.attention.name,
            slots=engine.num_slots,
        )

    def with_depth(self, described: MemberAnswer) -> MemberAnswer:
        """Return a description with the most segments that a variant was allowed."""
        deepened = max(votes.max_segments or 0 for votes in self._votes)
        most = max(described.max_segments, deepened)
        return described.model_copy(update={"max_segments": most})

    def samples(
        self,
        engine: Engine,
        member_index: int,
        test_index: int,
        grid: Grid,
        max_segments: int | None,
    ) -> list[Sample]:
        """Return a sample for each variant of a test input, or of its wave.

        Raises: CanvasError when the input is larger than the checkpoint's canvas.
        """
        puzzle_rows = self.member.puzzle_rows
        votes = self._votes[test_index]
        wave, side = slice(votes.start, votes.stop), votes.side
        rows = engine.checkpoint.rows.gather(puzzle_rows.rows[wave])
        tokens = self.member.kind.encode(grid, puzzle_rows.variants[wave], side)
        num_segments = max_segments or engine.checkpoint.config.max_segments
        num_held = count_predictions(self._prediction_bytes // len(self._votes), side)
        num_traced = min(self._num_traced, num_held // num_segments)
        return [
            Sample(SampleId(member_index, test_index, index), canvas, row, index < num_traced)
            for index, (canvas, row) in enumerate(zip(tokens, rows, strict=True), votes.start)
        ]

    def hold(self, test_index: int, outcomes: Sequence[Outcome]) -> None:
        """Keep outcomes of a test input until they are counted."""
        by_variant = {outcome.sample_id.variant_index: outcome for outcome in outcomes}
        self._votes[test_index].held.update(by_variant)
        self.num_outcomes += len(outcomes)

    def held(self, test_index: int) -> Mapping[int, Outcome]:
        """Return the outcomes of a test input that are not counted yet, by variant."""
        return self._votes[test_index].held

    def ballots(self, outcomes: Sequence[Outcome]) -> Tally:
        """Return the votes of outcomes of one test input."""
        variants = self.member.puzzle_rows.variants
        return count_ballots(
            np.stack([outcome.tokens for outcome in outcomes]),
            np.array([outcome.q_halt_logit for outcome in outcomes]),
            [variants[outcome.sample_id.variant_index] for outcome in outcomes],
            self.member.kind,
        )

    def count(self, test_index: int, outcomes: Sequence[Outcome], ballots: Tally) -> None:
        """Add held outcomes of a test input, with their votes, to its votes."""
        mine = self._votes[test_index]
        for outcome in outcomes:
            del mine.held[outcome.sample_id.variant_index]
        mine.tally = mine.tally.merge(ballots)
        self._num_segments[test_index] += sum(outcome.steps for outcome in outcomes)
        if self._num_traced:
            self._trace(mine, outcomes)

    def enlarge(self, test_index: int) -> bool:
        """Replace the votes on a test input made on too small a crop; return whether they were.

        A crop is too small where most votes agree, and touch its edge unclosed: the vote begins
        again on the next larger one. If the votes there do not reach beyond that edge, the smaller
        crop was large enough, and its votes are restored. Either way, samples of the replaced votes
        that are still in the engine have to leave it.
        """
        votes, before = self._votes[test_index], self._votes[test_index].before
        if self.member.kind.rules is not None:
            return False  # an answer has the size of its puzzle
        if before is not None and not votes.are_mostly(lambda grid: max(grid.size) > before.side):
            self._votes[test_index] = replace(before, larger=(), before=None, is_final=True)
            return True
        predicted = self.member.crop.predicted[test_index]
        is_cut = votes.are_mostly(lambda grid: touches_edge(grid.size, votes.side, predicted))
        if not (votes.larger and is_cut and votes.agree):
            if not self.num_outstanding(test_index):
                votes.larger, votes.before = (), None
            return False
        smaller = replace(votes, before=None)
        self._votes[test_index] = InputVotes(
            votes.larger[0], votes.larger[1:], self.num_variants, before=smaller
        )
        self.num_asked += self.num_variants
        return True

    def next_wave(self, test_index: int, *, may_deepen: bool) -> bool:
        """Ask for more variants of a puzzle with rules; return whether there are any.

        Once all were asked, the vote begins again with DEEP_SEGMENTS segments each, if it may.
        """
        votes = self._votes[test_index]
        if self.num_outstanding(test_index):
            return False
        if votes.stop < self.num_variants:
            votes.start, votes.stop = votes.stop, min(WAVE_GROWTH * votes.stop, self.num_variants)
        elif may_deepen and votes.max_segments is None:
            votes = InputVotes(votes.side, (), self._first_wave, max_segments=DEEP_SEGMENTS)
            self._votes[test_index] = votes
        else:
            return False
        self.num_asked += votes.stop - votes.start
        return True

    def max_segments(self, test_index: int, asked: int | None) -> int | None:
        """Return the number of segments of the variants of a test input; None: the network's."""
        return self._votes[test_index].max_segments or asked

    def drop(self, job: Hashable, test_index: int) -> None:
        """Remove the remaining samples of a test input from the engine."""
        if self.engine is not None:
            self.engine.cancel(job, lambda sample_id: sample_id.test_index == test_index)

    def share(self, test_index: int, num_votes: int) -> MemberShare:
        """Return the member's part in a test input's `num_votes` votes."""
        votes, tally = self._votes[test_index], self.tally(test_index)
        return MemberShare(
            checkpoint=self.member.name,
            votes=tally.num_votes,
            abstained=tally.abstained,
            variants_used=tally.num_ballots,
            variants_asked=self.num_variants,
            segments=self._num_segments[test_index],
            share=tally.num_votes / num_votes if num_votes else 0.0,
            side=votes.side,
        )

    def traces(self, test_index: int) -> tuple[VariantTrace, ...]:
        """Return the answers of single variants to a test input, in the order of the variants."""
        traces = self._votes[test_index].traces
        return tuple(traces[index] for index in sorted(traces))

    def _trace(self, votes: InputVotes, outcomes: Sequence[Outcome]) -> None:
        variants = self.member.puzzle_rows.variants
        traced = {
            index: outcome
            for outcome in outcomes
            if (index := outcome.sample_id.variant_index) < self._num_traced
        }
        if traced:
            traces = read_traces(
                tuple(traced.values()),
                [variants[index] for index in traced],
                self.member.name,
                self.member.kind,
            )
            votes.traces.update(zip(traced, traces, strict=True))
