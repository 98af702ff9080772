"""Files: strict JSON reading of bounded size, and atomic writing."""

import json
import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NoReturn

from augment.errors import TaskFileError

MEBIBYTE = 2**20


class _RefusedError(ValueError):
    """The document uses what Python's JSON reader allows and this one does not."""


def read_json(path: Path, max_bytes: int) -> object:
    """Read a JSON file of bounded size; refuse NaN, Infinity and keys given twice.

    Raises: TaskFileError.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            kind = "a folder" if path.is_dir() else "no regular file"
            raise TaskFileError(str(path), f"is {kind}; give the path of a JSON file")
        if status.st_size > max_bytes:
            raise _too_large(path, status.st_size, max_bytes)
        with path.open("rb") as file:
            content = file.read(max_bytes + 1)
    except FileNotFoundError:
        raise TaskFileError(str(path), "no such file; check the path") from None
    except (OSError, ValueError) as error:
        # ValueError: a path with a zero byte in it.
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise TaskFileError(str(path), f"cannot be read: {reason}") from error
    if len(content) > max_bytes:
        raise _too_large(path, len(content), max_bytes)
    return parse_json(content, str(path))


def parse_json(content: bytes, source: str) -> object:
    """Parse JSON strictly; `source` is named in errors.

    Raises: TaskFileError.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        problem = f"is not UTF-8 (byte {error.start}); save it as UTF-8"
        raise TaskFileError(source, problem) from None
    try:
        document: object = json.loads(
            text, object_pairs_hook=_object, parse_constant=_refuse_constant
        )
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise TaskFileError(source, f"is not JSON: {error.msg} ({where})") from None
    except RecursionError:
        raise TaskFileError(source, "is nested too deeply; a task needs five levels") from None
    except _RefusedError as error:
        raise TaskFileError(source, f"is not usable JSON: {error}") from None
    except ValueError:
        # Python refuses to convert an integer of thousands of digits.
        problem = "holds a number of thousands of digits; a cell is 0..9"
        raise TaskFileError(source, problem) from None
    return document


def write_atomically(path: Path, parts: Iterable[str]) -> None:
    """Write text to a file in one move: readers and a killed process see the old or the new file.

    Raises: OSError.
    """
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("w", encoding="utf-8") as file:
        file.writelines(parts)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def _too_large(path: Path, size: int, max_bytes: int) -> TaskFileError:
    limit = f"the limit is {max_bytes // MEBIBYTE} MiB"
    return TaskFileError(str(path), f"is too large ({size:,} bytes; {limit}); split it up")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise _RefusedError(f"the key {key[:80]!r} is there twice; remove one")
            seen.add(key)
    return members


def _refuse_constant(name: str) -> NoReturn:
    raise _RefusedError(f"{name} is not a JSON number; give a whole number")
