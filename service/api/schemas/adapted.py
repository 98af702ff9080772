"""What documents on adapted checkpoints hold."""

from pydantic import BaseModel, Field


class AdaptedLinks(BaseModel):
    """Where to go on."""

    self: str


class AdaptedOut(BaseModel):
    """A checkpoint adapted to one puzzle, which a worker keeps for its owner's next job of it."""

    id: str
    base: str = Field(description="The checkpoint it was made from.")
    base_sha256: str
    puzzle: str
    demonstrations_sha256: str
    variants: int
    steps: int
    seconds: float = Field(description="Of training.")
    held_out_share: float | None = Field(description="Of the variants held out, those right.")
    bytes: int = Field(description="On disk.")
    made_at: str = Field(json_schema_extra={"format": "date-time"})
    used_at: str = Field(json_schema_extra={"format": "date-time"})
    complete: bool = Field(description="False: a snapshot, from which its job goes on.")
    links: AdaptedLinks


class AdaptedList(BaseModel):
    """The adapted checkpoints of an owner that workers keep, the newest made first."""

    adapted: list[AdaptedOut]
    total: int
