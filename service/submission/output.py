"""The files of a submission: their paths, and the submission itself, valid at any moment."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from augment import Grid, write_atomically
from service.submission.challenges import Challenge
from service.wire.errors import InputError
from voting import submission_document

NUM_ATTEMPTS = 2


@dataclass(frozen=True, slots=True)
class Paths:
    """The path of a submission, and of the files that are named after it."""

    out: Path

    @classmethod
    def of(cls, out: Path) -> "Paths":
        """Check the path of the submission to write.

        Raises: InputError for a folder, and for a file in a folder that does not exist.
        """
        if out.is_dir():
            raise InputError(f"{out} is a folder: give a file, such as {out / 'submission.json'}")
        if not out.parent.is_dir():
            raise InputError(f"{out}: there is no folder {out.parent}; create it first")
        return cls(out)

    @property
    def journal(self) -> Path:
        """The journal, from which a run continues."""
        return self.out.with_name(f"{self.out.stem}.journal.jsonl")

    @property
    def report(self) -> Path:
        """The report as JSON."""
        return self.out.with_name(f"{self.out.stem}.report.json")

    @property
    def page(self) -> Path:
        """The report as a page."""
        return self.out.with_name(f"{self.out.stem}.report.html")

    @property
    def adapted(self) -> Path:
        """The folder of the checkpoint adapted to the file's puzzles."""
        return self.out.with_name(f"{self.out.stem}.adapted")


class SubmissionFile:
    """The attempts at each puzzle, kept as JSON text: one new answer costs no second encoding."""

    def __init__(self, path: Path, challenges: Sequence[Challenge]) -> None:
        self.path = path
        self._inputs: Mapping[str, tuple[Grid, ...]] = {
            one.puzzle_id: one.inputs for one in challenges
        }
        self._parts = {puzzle_id: _part(inputs, ()) for puzzle_id, inputs in self._inputs.items()}

    def put(self, puzzle_id: str, attempts: Sequence[Sequence[Grid]]) -> bool:
        """Set the attempts at a puzzle's test inputs; an input without any stands for itself.

        Nothing is written yet; returns whether the file would change.
        """
        before = self._parts[puzzle_id]
        self._parts[puzzle_id] = _part(self._inputs[puzzle_id], attempts)
        return self._parts[puzzle_id] != before

    def write(self) -> None:
        """Write the submission.

        Raises: OSError.
        """
        members = (f"{json.dumps(puzzle_id)}: {part}" for puzzle_id, part in self._parts.items())
        write_atomically(self.path, [f"{{{', '.join(members)}}}"])


def filled(inputs: Sequence[Grid], attempts: Sequence[Sequence[Grid]]) -> list[tuple[Grid, ...]]:
    """Return the attempts at each input, or the input itself where there are none."""
    tried = [*attempts, *[()] * (len(inputs) - len(attempts))]
    return [tuple(mine) or (grid,) for grid, mine in zip(inputs, tried, strict=True)]


def _part(inputs: tuple[Grid, ...], attempts: Sequence[Sequence[Grid]]) -> str:
    (part,) = submission_document({"": filled(inputs, attempts)}, NUM_ATTEMPTS).values()
    return json.dumps(part)
