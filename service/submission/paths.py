"""What a run writes beside its submission."""

from dataclasses import dataclass
from pathlib import Path

from service.wire.errors import InputError


@dataclass(frozen=True, slots=True)
class Paths:
    """The submission's path, and what is named after it."""

    out: Path

    @classmethod
    def of(cls, out: Path) -> "Paths":
        """Check where the submission is to be written.

        Raises: InputError for a folder, and for a folder that is not there.
        """
        if out.is_dir():
            raise InputError(f"{out} is a folder: give a file, such as {out / 'submission.json'}")
        if not out.parent.is_dir():
            raise InputError(f"{out}: there is no folder {out.parent}; make it first")
        return cls(out)

    @property
    def journal(self) -> Path:
        """What was answered, for a run that goes on."""
        return self.out.with_name(f"{self.out.stem}.journal.jsonl")

    @property
    def report(self) -> Path:
        """The report for programs."""
        return self.out.with_name(f"{self.out.stem}.report.json")

    @property
    def page(self) -> Path:
        """The report for people."""
        return self.out.with_name(f"{self.out.stem}.report.html")

    @property
    def adapted(self) -> Path:
        """The checkpoint adapted to the file's puzzles."""
        return self.out.with_name(f"{self.out.stem}.adapted")
