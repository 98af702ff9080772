"""`self_test.json`: a checkpoint's self-test, and hashes of what was tested."""

import hashlib
import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from augment import Puzzle, write_atomically
from hrm_core import Checkpoint, Engine
from hrm_core.files import MAX_JSON_BYTES, read_bounded
from service.solving.enrolment import RowIndex
from service.solving.self_test import SelfTest, run_self_test
from service.wire.checkpoint import Finding

SELF_TEST_NAME = "self_test.json"
# Rounding of another device may cost a few demonstrations, but not a quarter of all.
MAX_LOSS = 0.25


@dataclass(frozen=True, slots=True)
class Examination:
    """A self-test, and the changes since the one that is kept in the checkpoint's folder.

    `changes` are sentences; with any, names or settings differ from those tested before.
    """

    test: SelfTest
    changes: tuple[str, ...] = ()

    @property
    def verdict(self) -> str:
        """The finding as a sentence, the changes first."""
        return ". ".join((*self.changes, self.test.verdict))

    @property
    def finding(self) -> Finding:
        """The test's finding, or `changed` where that is the only fault."""
        found = self.test.finding
        return Finding.CHANGED if self.changes and found is Finding.ALIGNED else found


@dataclass(frozen=True, slots=True)
class _Record:
    checkpoint_sha256: str
    names_sha256: str
    settings: dict[str, Any]
    test: SelfTest


_RECORD = TypeAdapter(_Record)


def examine(
    engine: Engine,
    row_index: RowIndex,
    puzzles: Sequence[Puzzle] | None = None,
    on_step: Callable[[], None] = lambda: None,
) -> Examination:
    """Run the self-test, by default with the probes of the checkpoint.

    Raises: AlignmentError when there are too few known demonstrations.
    """
    checkpoint = row_index.checkpoint
    record = _read(checkpoint.folder)
    test = run_self_test(engine, row_index, puzzles, on_step)
    if record is None:
        return Examination(replace(test, names_known=row_index.adaptation is not None))
    changes = _changes(record, checkpoint, test)
    names_known = row_index.adaptation is not None or (
        record.test.names_known and not changes and record.checkpoint_sha256 == checkpoint.sha256
    )
    return Examination(replace(test, names_known=names_known), changes)


def read_examination(checkpoint: Checkpoint) -> Examination | None:
    """Return the kept self-test of this very checkpoint, or None."""
    record = _read(checkpoint.folder)
    if record is None or record.checkpoint_sha256 != checkpoint.sha256:
        return None
    return Examination(record.test)


def keep(checkpoint: Checkpoint, test: SelfTest) -> None:
    """Write the self-test to the checkpoint's folder; do nothing where it is not writable."""
    settings = checkpoint.config.arch_document()
    record = _Record(checkpoint.sha256, _hash_names(checkpoint), settings, test)
    with suppress(OSError):  # the test is then run each time
        write_atomically(
            checkpoint.folder / SELF_TEST_NAME, [json.dumps(asdict(record), indent=1), "\n"]
        )


def _read(folder: Path) -> _Record | None:
    """Read the kept self-test; a damaged file counts as none, since the test can be repeated."""
    try:
        return _RECORD.validate_json(read_bounded(folder / SELF_TEST_NAME, MAX_JSON_BYTES))
    except (OSError, ValueError):
        return None


def _changes(record: _Record, checkpoint: Checkpoint, test: SelfTest) -> tuple[str, ...]:
    changed = [
        f"all_config.yaml has {name} {now}, but {record.settings.get(name)} when it was tested"
        for name, now in checkpoint.config.arch_document().items()
        if record.settings.get(name) != now
    ]
    if record.names_sha256 != _hash_names(checkpoint):
        changed.append("identifiers.json is not the one that was tested")
    is_same = record.checkpoint_sha256 == checkpoint.sha256
    if is_same and test.exact_share < record.test.exact_share - MAX_LOSS:
        changed.append(
            "this device computes different results: when it was tested, "
            f"{record.test.exact_share:.0%} of the demonstrations came out right"
        )
    return tuple(changed)


def _hash_names(checkpoint: Checkpoint) -> str:
    return hashlib.sha256("\n".join(checkpoint.names or ()).encode()).hexdigest()
