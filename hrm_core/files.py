"""Files: JSON that may be damaged, and writing in one move."""

import gzip
import json
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hrm_core.errors import CheckpointError


def read_json(path: Path, hint: str) -> object:
    """Read a JSON file of a checkpoint folder, plain or compressed by gzip.

    Raises: CheckpointError with the hint.
    """
    try:
        content = path.read_bytes()
        if path.suffix == ".gz":
            content = gzip.decompress(content)
        document: object = json.loads(content)
    except (ValueError, RecursionError, OSError, EOFError, zlib.error) as error:
        raise CheckpointError(path, f"not readable as JSON ({error})", hint) from error
    return document


@contextmanager
def replacing(path: Path, *, is_shared: bool = False) -> Iterator[Path]:
    """Yield a path to write to; the file written there replaces `path` when the block succeeds.

    `is_shared`: other processes may write the same file at the same time.

    Raises: OSError.
    """
    suffix = f".{os.getpid()}" if is_shared else ""
    partial = path.with_name(f".{path.name}{suffix}.partial")
    yield partial
    with partial.open("rb+") as file:
        os.fsync(file.fileno())
    partial.replace(path)


def write_text(path: Path, text: str, *, is_shared: bool = False) -> None:
    """Write a text file in one move, as `replacing` does."""
    with replacing(path, is_shared=is_shared) as partial:
        partial.write_text(text, encoding="utf-8")
