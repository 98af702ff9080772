"""Checkpoints that workers serve, the puzzles that they know, and those adapted to one puzzle."""

from enum import StrEnum

from pydantic import Field

from augment import KindName
from service.wire.answer import HeldOutShare
from service.wire.document import Document, Time
from service.wire.task import Task


class Finding(StrEnum):
    """The outcome of a self-test.

    `changed`: aligned, but settings or names are not those that were tested before. `unclear`:
    demonstrations come out right through any row, so nothing is known about the names. `untested`:
    there are too few demonstrations. `checked`: the rules check each answer, and no row has a name.
    """

    ALIGNED = "aligned"
    CHANGED = "changed"
    UNDERFITTED = "underfitted"
    UNCLEAR = "unclear"
    UNTESTED = "untested"
    CHECKED = "checked"
    MISALIGNED = "misaligned"

    @property
    def is_verified(self) -> bool:
        """Whether the rows are known to belong to their names."""
        return self in (
            Finding.ALIGNED,
            Finding.CHANGED,
            Finding.UNDERFITTED,
            Finding.CHECKED,
        )


class CheckpointLinks(Document):
    """The addresses of what belongs to a checkpoint."""

    self: str
    puzzles: str


class CheckpointRecord(Document):
    """A checkpoint as a worker that serves it describes it."""

    name: str
    sha256: str
    architecture: str
    kind: KindName = Field(
        default="arc", description="The kind of puzzles that it was trained on and answers."
    )
    canvas: int = Field(description="The longest side of a grid that it can read.")
    crop: bool = Field(
        default=False, description="Whether it computes only the part of it that a puzzle needs."
    )
    parameters: int
    rows: int = Field(description="Trained rows, one for each variant of each puzzle.")
    puzzles: int
    halt_max_steps: int = Field(
        description="The most segments of a variant, unless `max_segments` says less or more."
    )
    finding: Finding = Field(description="What its self-test found.")
    verdict: str = Field(description="The finding as a sentence, with what to look at.")
    base: bool = Field(
        default=False, description="Whether it is adapted to puzzles that no checkpoint knows."
    )

    @property
    def warning(self) -> str | None:
        """What an answer of this checkpoint should be read with, or None."""
        is_fine = self.finding in (Finding.ALIGNED, Finding.CHECKED)
        return None if is_fine else f"{self.name}: {self.verdict}"


class Checkpoint(CheckpointRecord):
    """A checkpoint that workers serve."""

    verified: bool = Field(description="Whether its rows are known to belong to their names.")
    workers: int | None = Field(default=None, description="Workers that serve it now.")
    default: bool = Field(default=False, description="Taken when a job names no checkpoint.")
    adapt_s: float | None = Field(
        default=None,
        description="The longest that an adaptation of it takes by default, in seconds of "
        "training. Null where it is no base, or the service does not adapt.",
    )
    links: CheckpointLinks | None = None


class CheckpointList(Document):
    """The checkpoints that workers serve."""

    checkpoints: tuple[Checkpoint, ...]
    refused: dict[str, str] = Field(
        default_factory=dict,
        description="Checkpoints that a worker cannot serve, by name, and why.",
    )
    reloading: int = Field(
        default=0, description="Workers that have not followed the last request to reload yet."
    )


class KnownPuzzle(Document):
    """A puzzle that a checkpoint has rows for."""

    name: str
    demonstrations_sha256: str
    variants: int


class PuzzleDetail(KnownPuzzle):
    """A puzzle that a checkpoint has rows for, with its grids."""

    task: Task | None = Field(
        description="Null where it is none of the public puzzles: a checkpoint holds no grids."
    )


class PuzzleList(Document):
    """A page of a checkpoint's puzzles, by name."""

    puzzles: tuple[KnownPuzzle, ...]
    total: int
    next: str | None = Field(description="The address of the next page.")


class AdaptedLinks(Document):
    """The addresses of what belongs to an adapted checkpoint."""

    self: str


class Adapted(Document):
    """A checkpoint adapted to puzzles, which a worker keeps for its owner's next job of them."""

    id: str
    base: str = Field(description="The checkpoint it was made from.")
    base_sha256: str
    puzzle: str = Field(description="Its name; of several puzzles the first.")
    demonstrations_sha256: str
    puzzles: int = Field(default=1, description="Puzzles that it was adapted to together.")
    variants: int
    steps: int
    seconds: float = Field(description="Of training.")
    held_out_share: HeldOutShare = None
    bytes: int = Field(description="On disk.")
    made_at: Time
    used_at: Time
    complete: bool = Field(description="False: a snapshot, from which its job goes on.")
    links: AdaptedLinks | None = None


class AdaptedList(Document):
    """The adapted checkpoints of an owner that workers keep, the newest made first."""

    adapted: tuple[Adapted, ...]
    total: int
