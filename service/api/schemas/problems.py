"""What problem documents hold."""

from pydantic import BaseModel, Field


class FaultOut(BaseModel):
    """One wrong place of a request."""

    pointer: str | None = Field(
        default=None, description="JSON pointer (RFC 6901) into the body, to the wrong place."
    )
    parameter: str | None = Field(default=None, description="The query parameter or header.")
    detail: str


class ProblemOut(BaseModel):
    """A problem (RFC 9457)."""

    type: str = Field(description="urn:hrm-arc:problem:CODE")
    title: str
    status: int
    detail: str = Field(description="What is wrong and what would mend it.")
    code: str = Field(description="The same as in `type`, for programs.")
    instance: str | None = Field(default=None, description="The job that failed.")
    errors: list[FaultOut] | None = Field(
        default=None, max_length=20, description="The wrong places, the first twenty of them."
    )
    checkpoint: str | None = Field(default=None, description="The checkpoint that was asked.")
    known_puzzles: int | None = Field(default=None, description="How many puzzles it knows.")
    puzzles: str | None = Field(default=None, description="Where they are listed.")
    known_to: list[str] | None = Field(
        default=None, description="Other checkpoints that do know the puzzle."
    )
    checkpoints: list[str] | None = Field(default=None, description="The checkpoints served.")
