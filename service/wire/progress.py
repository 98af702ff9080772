"""How far a job is, and the votes so far."""

from typing import Literal

from pydantic import Field

from service.wire.answer import Candidate
from service.wire.document import Document, is_none

AdaptationPhase = Literal["waiting", "rows", "all", "last"]


class TestProgress(Document):
    """The vote on one test input so far."""

    __test__ = False  # not a test class, whatever its name makes pytest think

    votes: int
    abstained: int
    candidates: tuple[Candidate, ...] = ()


class AdaptationProgress(Document):
    """How far the adaptation of a checkpoint is."""

    checkpoint: str = Field(description="The one that is adapted.")
    phase: AdaptationPhase = Field(
        description="`waiting` for the device; only `rows` are trained; `all` weights are; "
        "`last`: with falling rates, on what was held out too."
    )
    used_share: float = Field(description="The part of the budget that is used.")
    steps: int
    seconds: float = Field(description="Of training.")
    loss: float | None = None
    right_share: float | None = Field(
        default=None, description="Of the variants learned from, those right."
    )
    held_out_share: float | None = Field(
        default=None, description="Of the variants held out, those right."
    )
    held_out_note: str | None = Field(
        default=None, description="What was held out, or why nothing was."
    )


class ProgressSummary(Document):
    """How far a job is."""

    outcomes: int = Field(description="Variants that have answered.")
    asked: int = Field(description="Variants that were asked.")
    decided: int = Field(description="Test inputs with settled attempts.")
    test_inputs: int
    adaptation: AdaptationProgress | None = Field(
        default=None, exclude_if=is_none, description="While the job is `adapting`."
    )


class Progress(ProgressSummary):
    """How far a job is, with the votes so far."""

    tests: tuple[TestProgress, ...] = ()

    def to_json(self) -> bytes:
        """Return the progress as JSON."""
        return self.model_dump_json().encode()
