"""The files of a submission: their paths, the submission, and the journal to continue from."""

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from filelock import FileLock, Timeout

from augment import Grid, PuzzleError, write_atomically
from service.runtime.devices import EngineOptions
from service.submission.challenges import Challenge
from service.submission.votes import RoundVotes
from service.wire.errors import InputError
from voting import submission_document

JOURNAL_VERSION = 2
NUM_ATTEMPTS = 2


@dataclass(frozen=True, slots=True)
class Paths:
    """The path of a submission, and of the files that are named after it.

    A run continues from the `journal`. The report is there as JSON and as a `page`; `adapted` is
    the folder of the checkpoint adapted to the file's puzzles, and `candidates` the exported grids.
    `started` says when a run with a fixed end began.
    """

    out: Path
    journal: Path
    report: Path
    page: Path
    adapted: Path
    candidates: Path
    started: Path

    @classmethod
    def of(cls, out: Path) -> "Paths":
        """Check the path of the submission to write.

        Raises: InputError for a folder, and for a file in a folder that does not exist.
        """
        if out.is_dir():
            raise InputError(f"{out} is a folder: give a file, such as {out / 'submission.json'}")
        if not out.parent.is_dir():
            raise InputError(f"{out}: there is no folder {out.parent}; create it first")
        endings = (
            "journal.jsonl",
            "report.json",
            "report.html",
            "adapted",
            "candidates.jsonl",
            "started.json",
        )
        return cls(out, *(out.with_name(f"{out.stem}.{ending}") for ending in endings))

    def check_own(self, *, is_fresh: bool) -> None:
        """Check that the submission is of a run that can be continued, if there is one.

        Raises: InputError.
        """
        is_own = self.journal.exists() or self.started.exists()
        if self.out.exists() and not (is_fresh or is_own):
            raise InputError(
                f"{self.out} exists already, without a journal that shows that this command wrote "
                "it: give another --out, or --fresh to overwrite it"
            )


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
        """Write the submission."""
        members = (f"{json.dumps(puzzle_id)}: {part}" for puzzle_id, part in self._parts.items())
        write_atomically(self.path, [f"{{{', '.join(members)}}}"])


def filled(inputs: Sequence[Grid], attempts: Sequence[Sequence[Grid]]) -> list[tuple[Grid, ...]]:
    """Return the attempts at each input, or the input itself where there are none."""
    tried = [*attempts, *[()] * (len(inputs) - len(attempts))]
    return [tuple(mine) or (grid,) for grid, mine in zip(inputs, tried, strict=True)]


def _part(inputs: tuple[Grid, ...], attempts: Sequence[Sequence[Grid]]) -> str:
    (part,) = submission_document({"": filled(inputs, attempts)}, NUM_ATTEMPTS).values()
    return json.dumps(part)


class Journal:
    """The votes of a run, one JSON line per puzzle and round, after a line that identifies the run.

    A context that holds a lock: no other process can write to the same journal. An incomplete last
    line, left by a kill, is dropped. `engines` are the options of the engines that voted, by
    checkpoint: with them an engine gives the same answers bit for bit. `is_fresh` discards what an
    earlier run has left.
    """

    def __init__(self, path: Path, identity: Mapping[str, Any], *, is_fresh: bool = False) -> None:
        self.path = path
        self._is_fresh = is_fresh
        self.rounds: list[RoundVotes] = []
        self.engines: dict[str, EngineOptions] = {}
        self._identity = dict(identity)
        self._stack = ExitStack()

    @property
    def elapsed_s(self) -> float:
        """The seconds that earlier runs took up to their last votes."""
        return max((one.elapsed_s for one in self.rounds), default=0.0)

    def __enter__(self) -> Self:
        """Open the journal or create it.

        Raises: InputError for the journal of another run, a damaged one, and one that another
        process writes to.
        """
        lock = FileLock(self.path.with_name(f".{self.path.name}.lock"), blocking=False)
        try:
            self._stack.enter_context(lock)
        except Timeout:
            raise InputError(
                f"another run is writing to {self.path}: wait for it, or give another --out"
            ) from None
        try:
            kept = 0 if self._is_fresh else self._read()
            self._file = self._stack.enter_context(self.path.open("ab"))
            self._file.truncate(kept)
            if kept == 0:
                self._append({"journal": JOURNAL_VERSION, "run": self._identity})
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        """Close the journal and release its lock."""
        self._stack.close()

    def add(self, one: RoundVotes) -> None:
        """Append the votes of a round; they are on disk when this returns."""
        self.rounds.append(one)
        self._append(one.document())

    def note_engines(self, engines: Mapping[str, EngineOptions]) -> None:
        """Append the options of the engines, unless they are the last ones appended."""
        if dict(engines) != self.engines:
            self.engines = dict(engines)
            self._append({"engines": {name: asdict(one) for name, one in engines.items()}})

    def _append(self, document: Mapping[str, Any]) -> None:
        self._file.write(json.dumps(document, separators=(",", ":")).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def _read(self) -> int:
        """Read the journal and return how many of its bytes are complete lines."""
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return 0
        kept = 0
        *lines, _torn = content.split(b"\n")
        for number, line in enumerate(lines, start=1):
            try:
                self._take(json.loads(line), number)
            except (ValueError, KeyError, TypeError, RecursionError, PuzzleError) as error:
                if number == len(lines) and number > 1:
                    break  # an incomplete last line, though it ends with a line break
                raise InputError(
                    f"{self.path}, line {number}: this is not the journal of a submission, or it "
                    f"is damaged ({error}). Start over with --fresh, or give another --out"
                ) from None
            kept += len(line) + 1
        return kept

    def _take(self, document: Any, number: int) -> None:
        if number == 1:
            self._check(document)
        elif "engines" in document:
            engines = document["engines"].items()
            self.engines = {str(name): EngineOptions(**one) for name, one in engines}
        else:
            self.rounds.append(RoundVotes.from_document(document))

    def _check(self, document: Any) -> None:
        if document["journal"] != JOURNAL_VERSION:
            raise InputError(
                f"{self.path} was written by another version of hrm-arc: start over with --fresh"
            )
        before = document["run"]
        names = sorted({*before, *self._identity})
        differing = [name for name in names if before.get(name) != self._identity.get(name)]
        if differing:
            raise InputError(
                f"{self.path} belongs to another run (different {', '.join(differing)}): repeat "
                "its command to continue it, or give --fresh to start over, or another --out"
            )
