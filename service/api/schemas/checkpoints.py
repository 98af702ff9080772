"""What documents on checkpoints and their puzzles hold."""

from pydantic import BaseModel, Field

from service.solving.self_test.result import Finding
from service.wire.task import Task


class CheckpointLinks(BaseModel):
    """Where to go on."""

    self: str
    puzzles: str


class CheckpointOut(BaseModel):
    """A checkpoint that workers serve."""

    name: str
    sha256: str
    architecture: str
    canvas: int = Field(description="The longest side of a grid that it can read.")
    parameters: int
    rows: int = Field(description="Trained rows, one for each variant of each puzzle.")
    puzzles: int
    halt_max_steps: int
    verified: bool = Field(description="Whether its rows are known to belong to their names.")
    finding: Finding = Field(description="What its self-test found.")
    verdict: str = Field(description="The finding as a sentence, with what to look at.")
    workers: int = Field(description="Workers that serve it now.")
    default: bool = Field(description="Taken when a job names no checkpoint.")
    links: CheckpointLinks


class CheckpointList(BaseModel):
    """The checkpoints that workers serve."""

    checkpoints: list[CheckpointOut]


class PuzzleOut(BaseModel):
    """A puzzle that a checkpoint has rows for."""

    name: str
    demonstrations_sha256: str
    variants: int


class PuzzleDetail(PuzzleOut):
    """A puzzle that a checkpoint has rows for, with its grids."""

    task: Task | None = Field(
        description="Null where it is none of the public puzzles: a checkpoint holds no grids."
    )


class PuzzleList(BaseModel):
    """A page of a checkpoint's puzzles, by name."""

    puzzles: list[PuzzleOut]
    total: int
    next: str | None = Field(description="The address of the next page.")
