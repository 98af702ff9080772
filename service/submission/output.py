"""The submission file: valid from the first moment on, and written anew in one move each time."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from augment import Grid, write_atomically
from service.submission.challenges import Challenge
from voting import submission_document

NUM_ATTEMPTS = 2


class SubmissionFile:
    """Keeps every puzzle's part as text, so that one more answer does not cost writing them all."""

    def __init__(self, path: Path, challenges: Sequence[Challenge]) -> None:
        self.path = path
        self._inputs: Mapping[str, tuple[Grid, ...]] = {
            one.puzzle_id: one.inputs for one in challenges
        }
        self._parts = {puzzle_id: _part(inputs, ()) for puzzle_id, inputs in self._inputs.items()}

    def put(self, puzzle_id: str, attempts: Sequence[Sequence[Grid]]) -> bool:
        """Take the attempts at a puzzle's test inputs; where there is none the input itself stands.

        Nothing is written yet; tells whether there is something new to be written.
        """
        before = self._parts[puzzle_id]
        self._parts[puzzle_id] = _part(self._inputs[puzzle_id], attempts)
        return self._parts[puzzle_id] != before

    def write(self) -> None:
        """Write all of it, in one move: whoever reads the file finds it whole.

        Raises: OSError.
        """
        members = (f"{json.dumps(puzzle_id)}: {part}" for puzzle_id, part in self._parts.items())
        write_atomically(self.path, [f"{{{', '.join(members)}}}"])


def filled(inputs: Sequence[Grid], attempts: Sequence[Sequence[Grid]]) -> list[tuple[Grid, ...]]:
    """Give the attempts at each input, and the input itself where there is none."""
    tried = [*attempts, *[()] * (len(inputs) - len(attempts))]
    return [tuple(mine) or (grid,) for grid, mine in zip(inputs, tried, strict=True)]


def _part(inputs: tuple[Grid, ...], attempts: Sequence[Sequence[Grid]]) -> str:
    (part,) = submission_document({"": filled(inputs, attempts)}, NUM_ATTEMPTS).values()
    return json.dumps(part)
