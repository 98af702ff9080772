"""Can this checkpoint answer this puzzle, and with which variants?"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt

from augment import CropChoice, Dialect, Puzzle, Variant, choose_crop
from hrm_core import ARC_VOCAB_SIZE, Checkpoint
from service.adaptation.record import AdaptationRecord, read_adaptation
from service.solving.puzzle_index import PuzzleIndex, read_index
from service.wire.errors import EnrolmentError, UnknownPuzzle

# Puzzles whose rows a registrar remembers: with 1,000 variants one takes a third of a megabyte.
REMEMBERED = 128
OTHER_VOCABULARIES = {11: "Sudoku's", 6: "Maze's"}


@dataclass(frozen=True, slots=True)
class Enrolment:
    """The variants of one puzzle that a checkpoint has rows for.

    `puzzle_name` is the checkpoint's name for the puzzle, which may differ from the file's.

    Shapes: rows int64 [V], beside V variants.
    """

    puzzle_name: str
    variants: tuple[Variant, ...]
    rows: npt.NDArray[np.int64]
    kind: Literal["trained", "adapted"] = "trained"

    def __post_init__(self) -> None:
        self.rows.setflags(write=False)

    def draw(self, num_variants: int | None, seed: int) -> "Enrolment":
        """Keep the untransformed variant and a seeded choice of others; all when None.

        Shapes: as the class, with at most `num_variants` of them.
        """
        if num_variants is None or num_variants >= len(self.variants):
            return self
        return self._keep(self._order(seed)[:num_variants])

    def draw_more(self, start: int, stop: int | None, seed: int) -> "Enrolment":
        """Keep what a draw of `stop` variants has and one of `start` has not; None: all the rest.

        Shapes: as the class, with at most `stop - start` of them, and maybe none.
        """
        return self._keep(self._order(seed)[start:stop])

    def _order(self, seed: int) -> list[int]:
        """Order the variants as draws take them: a longer draw begins with a shorter one."""
        others = np.random.default_rng(seed).permutation(np.arange(1, len(self.variants)))
        return [0, *others.tolist()]

    def _keep(self, kept: list[int]) -> "Enrolment":
        return Enrolment(
            self.puzzle_name,
            tuple(self.variants[place] for place in kept),
            self.rows[kept],
            self.kind,
        )


def check_kind(checkpoint: Checkpoint) -> None:
    """Refuse a checkpoint that was not trained on ARC, or has no rows at all.

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


class Registrar:
    """Tells which rows of one checkpoint belong to a puzzle.

    A puzzle is known by its demonstrations, never by its name alone; a variant without a row means
    nothing to the model, so there is no fallback to a blank row.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint

    @cached_property
    def index(self) -> PuzzleIndex | None:
        """The checkpoint's `puzzles.json`.

        Raises: PuzzleIndexError when it is damaged.
        """
        return read_index(self.checkpoint.folder)

    @cached_property
    def adaptation(self) -> AdaptationRecord | None:
        """How the checkpoint was adapted; None for one that was trained.

        Raises: AdaptationError when its record is damaged.
        """
        return read_adaptation(self.checkpoint.folder)

    @cached_property
    def dialect(self) -> Dialect:
        """How the checkpoint names its variants."""
        return Dialect.of(self.checkpoint.names or ())

    @cached_property
    def puzzle_names(self) -> tuple[str, ...]:
        """The puzzles that have rows, in row order."""
        names = self.checkpoint.names or ()
        return tuple(dict.fromkeys(self.dialect.puzzle_of(name) for name in names[1:]))

    def check_arc(self) -> None:
        """Refuse a checkpoint that is no ARC checkpoint, or whose rows nothing names.

        Raises: EnrolmentError, saying what is missing.
        """
        check_kind(self.checkpoint)
        folder = self.checkpoint.folder
        if self.checkpoint.names is None:
            raise EnrolmentError(
                f"{folder} has no identifiers.json, so nothing tells whose its rows are. Copy the "
                "list it was trained with; for a published TRM checkpoint, rebuild it with "
                f"`hrm-arc index {folder} --replay-trm PREFIX --subsets …`"
            )

    def enrol(self, puzzle: Puzzle) -> Enrolment:
        """Find the rows of a puzzle by its demonstrations.

        Raises: UnknownPuzzle when it has none; EnrolmentError when the checkpoint cannot enrol.
        """
        self.check_arc()
        folder = self.checkpoint.folder
        if self.index is None:
            raise EnrolmentError(
                f"{folder} has no puzzles.json, so nothing tells which puzzles its names mean "
                f"(a name alone does not). Write it with `hrm-arc index {folder} --tasks …`, from "
                "the tasks it was trained on"
            )
        name = self._name_of(puzzle)
        if name is not None:
            return self._rows_of(name)
        known = self.index.demonstrations
        raise UnknownPuzzle(
            f"{folder} has no rows for puzzle {puzzle.name!r}"
            + (
                ": it knows one of that name, but with other demonstrations"
                if puzzle.name in known
                else ""
            )
            + f". It knows {len(known)} puzzles; any other one needs adaptation (test-time "
            "training on its demonstrations) before it can be solved: see `hrm-arc adapt`"
        )

    def crop_of(self, puzzle: Puzzle) -> CropChoice:
        """Return the square that a puzzle's grids lie on: the canvas, or a crop of it.

        Raises: CanvasError when a demonstration or a test input does not fit the canvas of a
        checkpoint with crop.
        """
        config = self.checkpoint.config
        if config.crop:
            return choose_crop(puzzle, config.canvas)
        return CropChoice(config.canvas, (), (None,) * len(puzzle.test))

    def knows(self, puzzle: Puzzle) -> bool:
        """Tell whether the checkpoint has rows for a puzzle.

        Raises: PuzzleIndexError when its index is damaged.
        """
        return self._name_of(puzzle) is not None

    def _name_of(self, puzzle: Puzzle) -> str | None:
        """Find the checkpoint's name for a puzzle, by its demonstrations."""
        known = {} if self.index is None else self.index.demonstrations
        wanted = puzzle.demonstrations_hash
        if known.get(puzzle.name) == wanted:
            return puzzle.name
        return next(
            (name for name, demonstrations in known.items() if demonstrations == wanted), None
        )

    @cached_property
    def _rows_of(self) -> Callable[[str], Enrolment]:
        """Find the rows of a puzzle by its name; the last ones found are remembered."""
        return lru_cache(maxsize=REMEMBERED)(self._find_rows)

    def _find_rows(self, puzzle_name: str) -> Enrolment:
        names: Sequence[str] = self.checkpoint.names or ()
        found: list[tuple[int, Variant]] = []
        # A cheap test first: a table may have a million names.
        for row in [row for row, name in enumerate(names) if name.startswith(puzzle_name)]:
            parsed_name, variant = self.dialect.parse(names[row])
            if row and parsed_name == puzzle_name:
                found.append((row, variant))
        if not found:
            raise EnrolmentError(
                f"{self.checkpoint.folder}: puzzles.json knows {puzzle_name!r}, but "
                "identifiers.json has no row of that name. Write puzzles.json anew with "
                f"`hrm-arc index {self.checkpoint.folder} --tasks …`"
            )
        found.sort(key=lambda entry: names[entry[0]] != puzzle_name)  # the bare name first
        return Enrolment(
            puzzle_name,
            tuple(variant for _, variant in found),
            np.array([row for row, _ in found], dtype=np.int64),
            "trained" if self.adaptation is None else "adapted",
        )
