"""Enrolment: the rows that a checkpoint has for a puzzle, found by its demonstrations."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt

from augment import (
    ARC,
    BLANK_NAME,
    KINDS,
    AnyVariant,
    CanvasError,
    CropChoice,
    Dialect,
    Kind,
    Puzzle,
    Rules,
    Variant,
    choose_crop,
    fit_crop,
    kind_of_vocabulary,
)
from hrm_core import Checkpoint
from service.runtime.choice import Candidate
from service.solving.confidence import Calibration, read_calibration
from service.solving.records import AdaptationRecord, PuzzleIndex, read_adaptation, read_index
from service.wire.errors import EnrolmentError, UnknownPuzzle

# Puzzles with cached rows; 1,000 variants take a third of a megabyte.
CACHE_SIZE = 128
# For a puzzle with rules; the first that obeys them ends the vote, so there are rarely as many.
NUM_RULE_VARIANTS = 64

Rows = Literal["trained", "adapted", "rules"]


@dataclass(frozen=True, slots=True)
class PuzzleRows:
    """The variants of one puzzle that a checkpoint has rows for, and the rows.

    `puzzle_name` is the checkpoint's name for the puzzle, which may differ from the file's.

    Shapes: rows int64 [V], for V variants.
    """

    puzzle_name: str
    variants: tuple[AnyVariant, ...]
    rows: npt.NDArray[np.int64]
    kind: Rows = "trained"

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


@dataclass(frozen=True, slots=True)
class RuleRows(PuzzleRows):
    """The variants of a puzzle with rules: any of its symmetries, all with row 0.

    Shapes: as the class above, rows all 0.
    """

    rules: Rules = field(kw_only=True)

    @classmethod
    def of(cls, puzzle_name: str, rules: Rules, num_variants: int, seed: int) -> "RuleRows":
        """Draw so many variants, or all there are."""
        variants = rules.draw(num_variants, seed)
        rows = np.zeros(len(variants), dtype=np.int64)
        return cls(puzzle_name, variants, rows, "rules", rules=rules)

    def draw(self, num_variants: int | None, seed: int) -> "RuleRows":
        """Draw so many variants; None keeps those there are."""
        if num_variants is None:
            return self
        return self.of(self.puzzle_name, self.rules, num_variants, seed)


def kind_of(checkpoint: Checkpoint) -> Kind:
    """Return the kind of puzzles that a checkpoint was trained on.

    Raises: EnrolmentError where its vocabulary is of none.
    """
    kind = kind_of_vocabulary(checkpoint.config.vocab_size)
    if kind is None:
        known = ", ".join(f"{kind.vocabulary} ({kind.title})" for kind in KINDS.values())
        raise EnrolmentError(
            f"{checkpoint.folder} reads a vocabulary of {checkpoint.config.vocab_size}, which no "
            f"kind of puzzle has: there are {known}"
        )
    return kind


def check_arc(checkpoint: Checkpoint) -> None:
    """Check that a checkpoint was trained on ARC and has rows.

    Raises: EnrolmentError.
    """
    kind = kind_of(checkpoint)
    if kind is not ARC:
        raise EnrolmentError(
            f"{checkpoint.folder} was trained on {kind.title} puzzles, not on ARC puzzles: its "
            "rows have no names, and need none"
        )
    if checkpoint.config.puzzle_emb_ndim == 0:
        raise EnrolmentError(f"{checkpoint.folder} has no table of puzzle rows: it knows no puzzle")


class RowIndex:
    """Finds the rows of one checkpoint that belong to a puzzle.

    A puzzle is identified by its demonstrations, never only by its name. A variant without a row
    has no meaning for the model, so there is no fallback to a blank row.
    """

    def __init__(self, checkpoint: Checkpoint, puzzle_index: PuzzleIndex | None = None) -> None:
        """Read the checkpoint's `puzzles.json` when it is needed, unless an index is given."""
        self.checkpoint = checkpoint
        self._given_index = puzzle_index

    @property
    def name(self) -> str:
        """The checkpoint's name, which is that of its folder."""
        return self.checkpoint.folder.resolve().name

    @cached_property
    def kind(self) -> Kind:
        """The kind of puzzles that the checkpoint answers.

        Raises: EnrolmentError.
        """
        return kind_of(self.checkpoint)

    @cached_property
    def puzzle_index(self) -> PuzzleIndex | None:
        """The index that was given, or the checkpoint's `puzzles.json`.

        Raises: PuzzleIndexError when it is damaged.
        """
        return self._given_index or read_index(self.checkpoint.folder)

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
        return tuple(
            dict.fromkeys(self.dialect.puzzle_of(name) for name in names[1:] if name != BLANK_NAME)
        )

    def check_arc(self) -> None:
        """Check that the checkpoint is for ARC and names its rows.

        Raises: EnrolmentError with what is missing.
        """
        check_arc(self.checkpoint)
        folder = self.checkpoint.folder
        if self.checkpoint.names is None:
            is_trm = self.checkpoint.config.architecture == "trm"
            options = "--replay-trm PREFIX --subsets …" if is_trm else "--replay-hrm DATA"
            raise EnrolmentError(
                f"{folder} has no identifiers.json, so its rows have no names. Copy the list that "
                "it was trained with; for a published checkpoint, rebuild it with "
                f"`hrm-arc index {folder} {options}`"
            )

    def find(self, puzzle: Puzzle) -> PuzzleRows:
        """Find the rows of a puzzle by its demonstrations.

        Raises: UnknownPuzzle when it has none; EnrolmentError when the checkpoint cannot enrol.
        """
        if puzzle.kind != self.kind.name:
            raise EnrolmentError(
                f"{self.checkpoint.folder} answers {self.kind.title} puzzles, and puzzle "
                f"{puzzle.name!r} is not one: use one for {KINDS[puzzle.kind].title} puzzles"
            )
        if self.kind.rules is not None:
            return RuleRows.of(puzzle.name, self.kind.rules, NUM_RULE_VARIANTS, seed=0)
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
        if config.crop and self.kind.rules is not None and puzzle.fits(config.canvas):
            side = max(max(grid.size) for grid in puzzle.grids)
            return CropChoice(fit_crop(side, config.canvas), (), (None,) * len(puzzle.test))
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
        is_base = self.kind.has_own_rows and self.adaptation is None
        return Candidate(
            name, config.canvas, config.crop, num_puzzles, is_base, kind=self.kind.name
        )

    def knows(self, puzzle: Puzzle) -> bool:
        """Return whether the checkpoint has rows for a puzzle.

        Raises: PuzzleIndexError when its index is damaged; EnrolmentError.
        """
        if self.kind.rules is not None:
            return puzzle.kind == self.kind.name
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
