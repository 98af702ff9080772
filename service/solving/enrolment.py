"""Enrolment: the rows that a checkpoint has for a puzzle, found by its demonstrations."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt

from augment import CanvasError, CropChoice, Dialect, Puzzle, Variant, choose_crop
from hrm_core import ARC_VOCAB_SIZE, Checkpoint
from service.runtime.choice import Candidate
from service.solving.confidence import Calibration, read_calibration
from service.solving.records import AdaptationRecord, PuzzleIndex, read_adaptation, read_index
from service.wire.errors import EnrolmentError, UnknownPuzzle

# Puzzles with cached rows; 1,000 variants take a third of a megabyte.
CACHE_SIZE = 128
OTHER_VOCABULARIES = {11: "Sudoku's", 6: "Maze's"}


@dataclass(frozen=True, slots=True)
class PuzzleRows:
    """The variants of one puzzle that a checkpoint has rows for, and the rows.

    `puzzle_name` is the checkpoint's name for the puzzle, which may differ from the file's.

    Shapes: rows int64 [V], for V variants.
    """

    puzzle_name: str
    variants: tuple[Variant, ...]
    rows: npt.NDArray[np.int64]
    kind: Literal["trained", "adapted"] = "trained"

    def __post_init__(self) -> None:
        self.rows.setflags(write=False)

    def draw(self, num_variants: int | None, seed: int) -> "PuzzleRows":
        """Keep the untransformed variant and a seeded choice of others; None keeps all.

        Shapes: as the class, with at most `num_variants` of them.
        """
        if num_variants is None or num_variants >= len(self.variants):
            return self
        return self._keep(self._draw_order(seed)[:num_variants])

    def draw_more(self, start: int, stop: int | None, seed: int) -> "PuzzleRows":
        """Keep the variants that a draw of `stop` adds to a draw of `start`; None: all the rest.

        Shapes: as the class, with at most `stop - start` of them, possibly none.
        """
        return self._keep(self._draw_order(seed)[start:stop])

    def _draw_order(self, seed: int) -> list[int]:
        """Return the order of draws: a longer draw begins with every shorter one."""
        others = np.random.default_rng(seed).permutation(np.arange(1, len(self.variants)))
        return [0, *others.tolist()]

    def _keep(self, kept: list[int]) -> "PuzzleRows":
        variants = tuple(self.variants[index] for index in kept)
        return replace(self, variants=variants, rows=self.rows[kept])


def check_kind(checkpoint: Checkpoint) -> None:
    """Check that a checkpoint was trained on ARC and has rows.

    Raises: EnrolmentError.
    """
    config, folder = checkpoint.config, checkpoint.folder
    if config.vocab_size != ARC_VOCAB_SIZE:
        owner = OTHER_VOCABULARIES.get(config.vocab_size)
        of_whom = f" ({owner} size)" if owner else ""
        raise EnrolmentError(
            f"{folder} reads a vocabulary of {config.vocab_size}{of_whom}, not ARC's "
            f"{ARC_VOCAB_SIZE}: it was trained for something else and cannot solve ARC puzzles"
        )
    if config.puzzle_emb_ndim == 0:
        raise EnrolmentError(f"{folder} has no table of puzzle rows: it knows no puzzle")


class RowIndex:
    """Finds the rows of one checkpoint that belong to a puzzle.

    A puzzle is identified by its demonstrations, never only by its name. A variant without a row
    has no meaning for the model, so there is no fallback to a blank row.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint

    @property
    def name(self) -> str:
        """The checkpoint's name, which is that of its folder."""
        return self.checkpoint.folder.resolve().name

    @cached_property
    def puzzle_index(self) -> PuzzleIndex | None:
        """The checkpoint's `puzzles.json`.

        Raises: PuzzleIndexError when it is damaged.
        """
        return read_index(self.checkpoint.folder)

    @cached_property
    def adaptation(self) -> AdaptationRecord | None:
        """The record of the checkpoint's adaptation; None for a trained one.

        Raises: AdaptationError when its record is damaged.
        """
        return read_adaptation(self.checkpoint.folder)

    @cached_property
    def calibration(self) -> Calibration | None:
        """The calibration of the checkpoint, or of the base that it was adapted from.

        Raises: EnrolmentError when the file is damaged; AdaptationError.
        """
        adaptation, checkpoint = self.adaptation, self.checkpoint
        fitted_for = checkpoint.sha256 if adaptation is None else adaptation.base_sha256
        return None if fitted_for is None else read_calibration(checkpoint.folder, fitted_for)

    @cached_property
    def dialect(self) -> Dialect:
        """The dialect of the checkpoint's names."""
        return Dialect.of(self.checkpoint.names or ())

    @cached_property
    def puzzle_names(self) -> tuple[str, ...]:
        """Names of the puzzles that have rows, in row order."""
        names = self.checkpoint.names or ()
        return tuple(dict.fromkeys(self.dialect.puzzle_of(name) for name in names[1:]))

    def check_arc(self) -> None:
        """Check that the checkpoint is for ARC and names its rows.

        Raises: EnrolmentError with what is missing.
        """
        check_kind(self.checkpoint)
        folder = self.checkpoint.folder
        if self.checkpoint.names is None:
            raise EnrolmentError(
                f"{folder} has no identifiers.json, so its rows have no names. Copy the list that "
                "it was trained with; for a published TRM checkpoint, rebuild it with "
                f"`hrm-arc index {folder} --replay-trm PREFIX --subsets …`"
            )

    def find(self, puzzle: Puzzle) -> PuzzleRows:
        """Find the rows of a puzzle by its demonstrations.

        Raises: UnknownPuzzle when it has none; EnrolmentError when the checkpoint cannot enrol.
        """
        self.check_arc()
        folder = self.checkpoint.folder
        if self.puzzle_index is None:
            raise EnrolmentError(
                f"{folder} has no puzzles.json, which identifies the puzzles of its names. Write "
                f"it with `hrm-arc index {folder} --tasks …`, from the tasks it was trained on"
            )
        name = self._name_of(puzzle)
        if name is not None:
            return self._rows_of(name)
        known, namesake = self.puzzle_index.demonstrations, ""
        if puzzle.name in known:
            namesake = ": it knows one of that name, but with other demonstrations"
        raise UnknownPuzzle(
            f"{folder} has no rows for puzzle {puzzle.name!r}{namesake}. It knows {len(known)} "
            "puzzles; any other puzzle needs adaptation (test-time training on its demonstrations) "
            "before it can be solved: see `hrm-arc adapt`"
        )

    def crop_of(self, puzzle: Puzzle) -> CropChoice:
        """Return the square that a puzzle's grids are read on: the canvas, or a crop of it.

        Raises: CanvasError when a test input does not fit the canvas; with crop, also when a
        demonstration does not.
        """
        config = self.checkpoint.config
        if config.crop:
            return choose_crop(puzzle, config.canvas)
        for grid in puzzle.test:
            if not grid.fits(config.canvas):
                raise CanvasError(*grid.size, config.canvas)
        return CropChoice(config.canvas, (), (None,) * len(puzzle.test))

    def as_candidate(self, name: str) -> Candidate:
        """Describe the checkpoint for `choose_checkpoint`; an adapted one is no base.

        Raises: PuzzleIndexError, AdaptationError when its files are damaged.
        """
        config, index = self.checkpoint.config, self.puzzle_index
        num_puzzles = 0 if index is None else len(index.demonstrations)
        return Candidate(name, config.canvas, config.crop, num_puzzles, self.adaptation is None)

    def knows(self, puzzle: Puzzle) -> bool:
        """Return whether the checkpoint has rows for a puzzle.

        Raises: PuzzleIndexError when its index is damaged.
        """
        return self._name_of(puzzle) is not None

    def _name_of(self, puzzle: Puzzle) -> str | None:
        """Find the checkpoint's name for a puzzle, by its demonstrations."""
        known = {} if self.puzzle_index is None else self.puzzle_index.demonstrations
        digest = puzzle.demonstrations_hash
        if known.get(puzzle.name) == digest:
            return puzzle.name
        return next((name for name, other in known.items() if other == digest), None)

    @cached_property
    def _rows_of(self) -> Callable[[str], PuzzleRows]:
        """Find the rows of a puzzle by its name; the latest are cached."""
        return lru_cache(maxsize=CACHE_SIZE)(self._find_rows)

    def _find_rows(self, puzzle_name: str) -> PuzzleRows:
        names: Sequence[str] = self.checkpoint.names or ()
        found: list[tuple[int, Variant]] = []
        # The cheap test first: a table may have a million names.
        for row in [row for row, name in enumerate(names) if name.startswith(puzzle_name)]:
            parsed_name, variant = self.dialect.parse(names[row])
            if row and parsed_name == puzzle_name:
                found.append((row, variant))
        if not found:
            raise EnrolmentError(
                f"{self.checkpoint.folder}: puzzles.json knows {puzzle_name!r}, but "
                "identifiers.json has no row of that name. Write puzzles.json again with "
                f"`hrm-arc index {self.checkpoint.folder} --tasks …`"
            )
        found.sort(key=lambda entry: names[entry[0]] != puzzle_name)  # the bare name first
        return PuzzleRows(
            puzzle_name,
            tuple(variant for _, variant in found),
            np.array([row for row, _ in found], dtype=np.int64),
            "trained" if self.adaptation is None else "adapted",
        )
