"""The journal of a submission: a file that only grows, so that a killed run goes on from it."""

import json
import os
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from filelock import FileLock, Timeout

from augment import PuzzleError
from service.submission.votes import Round
from service.wire.errors import InputError

VERSION = 2


@dataclass(frozen=True, slots=True)
class EngineNote:
    """What an engine must have in common with the one before for its answers to be the same bits.

    `precision` and `attention` are those that ran, whatever was asked for.
    """

    slots: int
    num_threads: int | None
    precision: str
    attention: str
    compiled: bool


class Journal:
    """What a run has answered, one JSON line a puzzle and round, below one that says which run.

    A context: while it lasts no other process can write to the same journal. A last line that a
    kill has torn is dropped.

    `elapsed_s` is how long the runs before have worked, `engines` how their engines ran, by name.
    `is_fresh`: begin anew, whatever is there.
    """

    def __init__(self, path: Path, identity: Mapping[str, Any], *, is_fresh: bool = False) -> None:
        self.path = path
        self._is_fresh = is_fresh
        self.rounds: list[Round] = []
        self.engines: dict[str, EngineNote] = {}
        self._identity = dict(identity)
        self._stack = ExitStack()

    @property
    def elapsed_s(self) -> float:
        """How long the runs before have worked, up to their last votes."""
        return max((one.elapsed_s for one in self.rounds), default=0.0)

    def __enter__(self) -> Self:
        """Open the journal, or begin one.

        Raises: InputError for another run's journal, a damaged one, and one that another process
        writes to.
        """
        lock = FileLock(self.path.with_name(f".{self.path.name}.lock"))
        try:
            lock.acquire(blocking=False)
        except Timeout:
            raise InputError(
                f"another run writes to {self.path} now: wait for it, or give another --out"
            ) from None
        self._stack.callback(lock.release)
        try:
            kept = 0 if self._is_fresh else self._read()
            self._file = self._stack.enter_context(self.path.open("ab"))
            self._file.truncate(kept)
            if kept == 0:
                self._append({"journal": VERSION, "run": self._identity})
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close it."""
        self._stack.close()

    def add(self, one: Round) -> None:
        """Write a round down, on the disk before this returns."""
        self.rounds.append(one)
        self._append(one.document())

    def note_engines(self, engines: Mapping[str, EngineNote]) -> None:
        """Write down how the engines run, for a run that goes on to have the same."""
        if dict(engines) != self.engines:
            self.engines = dict(engines)
            self._append({"engines": {name: asdict(note) for name, note in engines.items()}})

    def _append(self, document: Mapping[str, Any]) -> None:
        self._file.write(json.dumps(document, separators=(",", ":")).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def _read(self) -> int:
        """Read what is there, and tell how many bytes of it are whole lines."""
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
                    break  # the last one: torn, however it came to end like a whole one
                raise InputError(
                    f"{self.path}, line {number}: this is no journal of a submission, or a damaged "
                    f"one ({error}). Begin anew with --fresh, or give another --out"
                ) from None
            kept += len(line) + 1
        return kept

    def _take(self, document: Any, number: int) -> None:
        if number == 1:
            self._check(document)
        elif "engines" in document:
            self.engines = {
                str(name): EngineNote(**note) for name, note in document["engines"].items()
            }
        else:
            self.rounds.append(Round.from_document(document))

    def _check(self, document: Any) -> None:
        if document["journal"] != VERSION:
            raise InputError(
                f"{self.path} was written by another version of hrm-arc: begin anew with --fresh"
            )
        before = document["run"]
        differing = sorted(
            name
            for name in {*before, *self._identity}
            if before.get(name) != self._identity.get(name)
        )
        if differing:
            raise InputError(
                f"{self.path} is of another run, with other {', '.join(differing)}: give the same "
                "command to go on with it, --fresh to begin anew, or another --out"
            )
