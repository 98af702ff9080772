"""Files: bounded reads, JSON that may be damaged, and writing in one move."""

import gzip
import io
import json
import os
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hrm_core.errors import CheckpointError

# The names of a published table of a million rows take 40 MB.
MAX_JSON_BYTES = 1 << 29


def read_bounded(path: Path, max_bytes: int) -> bytes:
    """Read a regular file of at most so many bytes, decompressed where its name ends with .gz.

    A link in a downloaded folder may lead to a device or pipe, which has no end.

    Raises: OSError; ValueError for another kind of file or a larger one.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise ValueError("not a regular file")
    with path.open("rb") as raw:
        file: io.BufferedIOBase = gzip.GzipFile(fileobj=raw) if path.suffix == ".gz" else raw
        content = file.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise ValueError(f"larger than {max_bytes:,} bytes")
    return content


def read_json(path: Path, hint: str) -> object:
    """Read a JSON file of a checkpoint folder, plain or compressed by gzip.

    Raises: CheckpointError with the hint.
    """
    try:
        document: object = json.loads(read_bounded(path, MAX_JSON_BYTES))
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
