"""The checkpoints that vote on a puzzle, each with rows for it and an engine of its own."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from augment import Grid, Puzzle, encode, encode_variants
from hrm_core import Engine, Outcome, Sample
from service.answer import AdaptationSummary, MemberAnswer, MemberShare
from service.enrolment import Enrolment, Registrar
from service.trace import VariantTrace, read_traces
from voting import Tally, count_ballots


@dataclass(frozen=True, slots=True)
class Member:
    """A checkpoint that votes on a puzzle, by a name that no other member of the vote has.

    `side` is that of the square on which it reads the puzzle's grids: the canvas, or a crop of it.
    """

    name: str
    enrolment: Enrolment
    side: int
    adaptation: AdaptationSummary | None = None

    @classmethod
    def enrol(
        cls,
        registrar: Registrar,
        puzzle: Puzzle,
        *,
        name: str | None = None,
        adaptation: AdaptationSummary | None = None,
    ) -> "Member":
        """Find a checkpoint's rows for a puzzle; `name` None takes its folder's.

        Raises: EnrolmentError, of which UnknownPuzzle where it has none; CanvasError when a test
        input is larger than its canvas.
        """
        checkpoint = registrar.checkpoint
        enrolment = registrar.enrol(puzzle)
        if adaptation is None and registrar.adaptation is not None:
            adaptation = registrar.adaptation.summary(is_reused=True)
        encode(puzzle.test, checkpoint.config.canvas)  # for its error, before anything runs
        side = registrar.side_of(puzzle)
        return cls(name or checkpoint.folder.resolve().name, enrolment, side, adaptation)

    def draw(self, num_variants: int | None, seed: int) -> "Member":
        """Keep some of the variants, as Enrolment does."""
        return replace(self, enrolment=self.enrolment.draw(num_variants, seed))


class Voter:
    """A member's part in a vote: where its samples are, and what they gave.

    What the first `num_traced` of its variants answer is kept, for each test input.
    """

    def __init__(self, member: Member, num_inputs: int, num_traced: int = 0) -> None:
        self.member = member
        self.tallies = [Tally.empty()] * num_inputs
        # Held only while samples are in it: an engine that leaves the device must be named nowhere.
        self.engine: Engine | None = None
        self._num_segments = [0] * num_inputs
        self._num_traced = num_traced
        self._traces: list[dict[int, VariantTrace]] = [{} for _ in range(num_inputs)]

    @property
    def num_variants(self) -> int:
        """The ballots it has for each test input."""
        return len(self.member.enrolment.variants)

    def describe(self, engine: Engine, max_segments: int | None) -> MemberAnswer:
        """Tell how the member is run by an engine."""
        checkpoint, enrolment = engine.checkpoint, self.member.enrolment
        return MemberAnswer(
            checkpoint=self.member.name,
            checkpoint_sha256=checkpoint.sha256,
            enrolled_as=enrolment.puzzle_name,
            enrolment=enrolment.kind,
            adaptation=self.member.adaptation,
            max_segments=max_segments or checkpoint.config.halt_max_steps,
            precision=engine.precision,
            attention=engine.attention.name,
            num_slots=engine.num_slots,
        )

    def samples(
        self, engine: Engine, inputs: Sequence[Grid], owner: tuple[object, ...]
    ) -> list[list[Sample]]:
        """Make a sample of each variant of each input, whose ids begin with the owner's words.

        Raises: CanvasError when an input is larger than the checkpoint's canvas.
        """
        checkpoint, enrolment = engine.checkpoint, self.member.enrolment
        rows = checkpoint.rows.gather(enrolment.rows)
        per_input = []
        for test_index, grid in enumerate(inputs):
            tokens = encode_variants(grid, enrolment.variants, self.member.side)
            per_input.append(
                [
                    Sample((*owner, test_index, place), tokens[place], rows[place])
                    for place in range(len(rows))
                ]
            )
        return per_input

    def count(self, test_index: int, outcomes: Sequence[Outcome]) -> None:
        """Add outcomes of a test input to its votes."""
        variants = self.member.enrolment.variants
        votes = count_ballots(
            np.stack([outcome.tokens for outcome in outcomes]),
            np.array([outcome.q_halt_logit for outcome in outcomes]),
            [variants[outcome.sample_id[-1]] for outcome in outcomes],
        )
        self.tallies[test_index] = self.tallies[test_index].merge(votes)
        self._num_segments[test_index] += sum(outcome.steps for outcome in outcomes)
        if self._num_traced:
            self._trace(test_index, outcomes)

    def share(self, test_index: int, num_votes: int) -> MemberShare:
        """Tell the member's part in so many votes on a test input."""
        tally = self.tallies[test_index]
        return MemberShare(
            checkpoint=self.member.name,
            tally=tally,
            num_variants_asked=self.num_variants,
            num_segments=self._num_segments[test_index],
            share=tally.num_votes / num_votes if num_votes else 0.0,
        )

    def traces(self, test_index: int) -> tuple[VariantTrace, ...]:
        """Tell what single variants answered to a test input, in the order of the variants."""
        traces = self._traces[test_index]
        return tuple(traces[place] for place in sorted(traces))

    def _trace(self, test_index: int, outcomes: Sequence[Outcome]) -> None:
        traced = [outcome for outcome in outcomes if outcome.sample_id[-1] < self._num_traced]
        if not traced:
            return
        places = [outcome.sample_id[-1] for outcome in traced]
        variants = self.member.enrolment.variants
        traces = read_traces(
            np.stack([outcome.tokens for outcome in traced]),
            [outcome.q_halt_logit for outcome in traced],
            [outcome.steps for outcome in traced],
            [variants[place] for place in places],
            self.member.name,
        )
        self._traces[test_index].update(zip(places, traces, strict=True))
