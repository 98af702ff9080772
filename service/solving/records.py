"""The JSON files beside a checkpoint that say which puzzles its rows are of.

`puzzles.json` has the puzzles that its names stand for, and a few whole ones as probes. A name does
not identify a puzzle, since different puzzles may have the same name, so the file maps each name to
the hash of its demonstrations. `adaptation.json` has how an adapted checkpoint was made.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from augment import AugmentError, Puzzle, Task, parse_task, task_document, write_atomically
from hrm_core.files import MAX_JSON_BYTES, read_bounded
from service.runtime.key_ring import LOCAL_OWNER
from service.wire.answer import AdaptationEnding, AdaptationSummary
from service.wire.document import Document
from service.wire.errors import AdaptationError, PuzzleIndexError

# Of more puzzles together, fewer than eight variants each are checked.
MAX_CHECKED_PUZZLES = 16
PUZZLES_NAME = "puzzles.json"
ADAPTATION_NAME = "adaptation.json"
MAX_PROBES = 32


@dataclass(frozen=True, slots=True)
class PuzzleIndex:
    """Hash of the demonstrations by puzzle name, and the probes of the alignment self-test."""

    demonstrations: dict[str, str]
    probes: tuple[Puzzle, ...]


def index_document(puzzles: Sequence[Puzzle]) -> dict[str, object]:
    """Return the content of a `puzzles.json`; probes are small puzzles, without test outputs.

    They are spread evenly over the smallest sizes that have enough: a checkpoint with crop answers
    small puzzles sooner, and may have been trained on them first.
    """
    num_probes = min(MAX_PROBES, len(puzzles))
    sides = [max(max(grid.size) for grid in puzzle.grids) for puzzle in puzzles]
    max_side = sorted(sides)[num_probes - 1] if puzzles else 0
    small = [one for one, side in zip(puzzles, sides, strict=True) if side <= max_side]
    probes = [small[index * len(small) // num_probes] for index in range(num_probes)]
    return {
        "demonstrations": {puzzle.name: puzzle.demonstrations_hash for puzzle in puzzles},
        "probes": {
            puzzle.name: task_document(Task(puzzle, (None,) * len(puzzle.test)))
            for puzzle in probes
        },
    }


def read_index(folder: Path) -> PuzzleIndex | None:
    """Read a checkpoint folder's `puzzles.json`, or None where it has none.

    Raises: PuzzleIndexError when the file is damaged.
    """
    path = folder / PUZZLES_NAME
    if not path.exists():
        return None
    try:
        document = json.loads(read_bounded(path, MAX_JSON_BYTES))
        demonstrations = {str(k): str(v) for k, v in document["demonstrations"].items()}
        probes = tuple(parse_task(task, name).puzzle for name, task in document["probes"].items())
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        RecursionError,
        AugmentError,
    ) as error:
        raise PuzzleIndexError(
            f"{path} is damaged ({error}): write it again with `hrm-arc index {folder} --tasks …`"
        ) from error
    return PuzzleIndex(demonstrations, probes)


class Budget(Document):
    """The budget of an adaptation; None where it had no such limit."""

    seconds: float | None
    steps: int | None


class AdaptationRecord(Document):
    """The record of an adaptation.

    `owner` is the caller of the job that made it, `local` where the file names none. `base` is None
    for one that began with random weights. `puzzles` are the hashes of their demonstrations by
    name. `held_out_share` is the last one checked, None where nothing was held out;
    `held_out_note` describes what was, and `held_out_by_puzzle` has the share of each by name.
    `ended_by` says why its last phase began, None before it and in older records. `budget_each` is
    what was asked for each of several puzzles, None where nobody asked.

    Units: seconds of training.
    """

    owner: str = LOCAL_OWNER
    base: str | None
    base_sha256: str | None
    puzzles: dict[str, str]
    variants: int
    steps: int
    seconds: float
    budget: Budget
    budget_each: Budget | None = None
    held_out_share: float | None
    held_out_by_puzzle: dict[str, float] = Field(default_factory=dict)
    held_out_note: str
    stopped_early: bool
    ended_by: AdaptationEnding | None = None
    complete: bool

    @property
    def asked(self) -> Budget | None:
        """The budget that was asked for each puzzle; None where nobody asked for several."""
        return self.budget_each or (self.budget if len(self.puzzles) < 2 else None)

    def covers(self, seconds: float | None, steps: int | None) -> bool:
        """Return whether a budget for one puzzle would bring no more training than there was."""
        if self.stopped_early:
            return True
        return self.asked is not None and all(
            past is None or (new is not None and new <= past)
            for new, past in ((seconds, self.asked.seconds), (steps, self.asked.steps))
        )

    def summary(
        self, *, is_reused: bool, demonstrations_hash: str | None = None
    ) -> AdaptationSummary:
        """Return the summary that an answer contains.

        Of several puzzles, the held-out share is that of the one with these demonstrations. Where
        there are many, too few of its variants are checked, and it is None.
        """
        changes: dict[str, Any] = {
            "base": self.base or "random weights",
            "base_sha256": self.base_sha256 or "",
            "reused": is_reused,
            "puzzles": len(self.puzzles),
        }
        if len(self.puzzles) > 1:
            changes["held_out_share"] = next(
                (
                    self.held_out_by_puzzle.get(name)
                    for name, one in self.puzzles.items()
                    if one == demonstrations_hash and len(self.puzzles) <= MAX_CHECKED_PUZZLES
                ),
                None,
            )
        return AdaptationSummary(**(dict(self) | changes))


def read_adaptation(folder: Path) -> AdaptationRecord | None:
    """Read a checkpoint folder's `adaptation.json`, or None where it has none.

    Raises: AdaptationError when the file is damaged.
    """
    path = folder / ADAPTATION_NAME
    try:
        return AdaptationRecord.model_validate_json(read_bounded(path, MAX_JSON_BYTES))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error
        raise AdaptationError(
            f"{path} is damaged ({reason}): delete the folder and adapt again"
        ) from error


def write_adaptation(folder: Path, document: dict[str, Any]) -> None:
    """Write a folder's `adaptation.json` in one move; make the folder where it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / ADAPTATION_NAME, [json.dumps(document)])
