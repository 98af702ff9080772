"""Grids to token sequences and back, a whole batch at a time."""

from collections.abc import Iterator, Sequence
from math import isqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from augment.errors import CanvasError
from augment.puzzle import Grid
from augment.variants import NUM_COLOURS, NUM_DIHEDRALS, Variant, apply_dihedral, invert_dihedral

PAD = 0
EOS = 1
FIRST_COLOUR = 2
VOCABULARY = FIRST_COLOUR + NUM_COLOURS

# Above every width, so that height and width make one number.
_SIZE_STEP = 1024


def encode(grids: Sequence[npt.NDArray[np.uint8] | Grid], canvas: int) -> npt.NDArray[np.int32]:
    """Place each grid at the top left of a canvas.

    EOS marks the row below the grid and the column right of it, where the canvas has them.

    Shapes: N grids [h, w] to [N, canvas * canvas].

    Raises: CanvasError for a grid that does not fit.
    """
    tokens = np.full((len(grids), canvas, canvas), PAD, dtype=np.int32)
    for sheet, grid in zip(tokens, grids, strict=True):
        cells = grid.cells if isinstance(grid, Grid) else grid
        height, width = cells.shape
        if max(height, width) > canvas:
            raise CanvasError(height, width, canvas)
        np.add(cells, FIRST_COLOUR, out=sheet[:height, :width])
        # A slice beyond the canvas is empty: no EOS on that side.
        sheet[height : height + 1, :width] = EOS
        sheet[:height, width : width + 1] = EOS
    return tokens.reshape(len(grids), canvas * canvas)


def encode_variants(grid: Grid, variants: Sequence[Variant], canvas: int) -> npt.NDArray[np.int32]:
    """Encode many variants of one grid: one canvas per symmetry, one look-up per variant.

    Shapes: [V, canvas * canvas].

    Raises: CanvasError when the grid does not fit.
    """
    turned = [apply_dihedral(grid.cells, dihedral) for dihedral in range(NUM_DIHEDRALS)]
    sheets = encode(turned, canvas)
    dihedrals, palettes = _tables(variants)
    tables = np.empty((len(variants), VOCABULARY), dtype=np.int32)
    tables[:, :FIRST_COLOUR] = (PAD, EOS)
    tables[:, FIRST_COLOUR:] = palettes
    tables[:, FIRST_COLOUR:] += FIRST_COLOUR
    tokens = np.empty((len(variants), canvas * canvas), dtype=np.int32)
    for dihedral, members in _groups(dihedrals):
        tokens[members] = tables[members].take(sheets[dihedral], axis=1)
    return tokens


def decode_variants(
    tokens: npt.NDArray[np.integer[Any]], variants: Sequence[Variant]
) -> list[npt.NDArray[np.uint8] | None]:
    """Read the largest rectangle of colours at each canvas's top left, and undo its variant.

    A canvas that does not begin with a colour gives None and abstains from the vote.

    Shapes: [N, canvas * canvas] and N variants to N grids [h, w].

    Source: HRM, arc_eval.ipynb (the reference's empty grid is None here).
    """
    if len(tokens) != len(variants):
        raise ValueError(f"{len(tokens)} canvases for {len(variants)} variants; give one for each")
    cells, heights, widths = _rectangles(tokens)
    dihedrals, palettes = _tables(variants)
    tables = np.argsort(palettes, axis=1).astype(np.uint8)
    grids: list[npt.NDArray[np.uint8] | None] = [None] * len(cells)
    keys = (heights * _SIZE_STEP + widths) * NUM_DIHEDRALS + dihedrals
    for key, members in _groups(keys):
        size, dihedral = divmod(key, NUM_DIHEDRALS)
        height, width = divmod(size, _SIZE_STEP)
        if height:
            turned = invert_dihedral(cells[members, :height, :width], dihedral)
            # Row i of the index points into palette i of the flattened tables.
            rows = NUM_COLOURS * np.arange(len(members))[:, None, None]
            stack = tables[members].ravel().take(np.ascontiguousarray(turned) + rows)
            stack.setflags(write=False)
            for position, decoded in zip(members.tolist(), stack, strict=True):
                grids[position] = decoded
    return grids


def _rectangles(
    tokens: npt.NDArray[np.integer[Any]],
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Find height and width of the rectangle on each canvas; 0 and 0 where there is none.

    Shapes: [N, canvas * canvas] to colours [N, canvas, canvas], heights [N], widths [N].
    """
    canvas = isqrt(tokens.shape[1])
    if canvas * canvas != tokens.shape[1]:
        raise ValueError(f"{tokens.shape[1]} tokens are not a square canvas")
    sheets = tokens.reshape(-1, canvas, canvas)
    coloured = (sheets >= FIRST_COLOUR) & (sheets < VOCABULARY)
    cells = (sheets - FIRST_COLOUR).astype(np.uint8)
    # Coloured cells at the start of each row: argmin finds the first one without a colour, and
    # also gives 0 where all are coloured.
    first = coloured.argmin(axis=2)
    runs = np.where(coloured[:, :, 0] & (first == 0), canvas, first)
    usable = np.minimum.accumulate(runs, axis=1)
    areas = usable * np.arange(1, canvas + 1)
    # argmax takes the first of equal areas: only a strictly larger one replaces it.
    last_rows = areas.argmax(axis=1)
    widths = np.take_along_axis(usable, last_rows[:, None], axis=1)[:, 0]
    heights = np.where(widths > 0, last_rows + 1, 0)
    return cells, heights, widths


def _groups(keys: npt.NDArray[np.intp]) -> Iterator[tuple[int, npt.NDArray[np.intp]]]:
    """Yield each distinct key and the positions that hold it."""
    order = np.argsort(keys, kind="stable")
    starts = np.flatnonzero(np.diff(keys[order], prepend=-1))
    for members in np.split(order, starts[1:]) if len(order) else ():
        yield int(keys[members[0]]), members


def _tables(
    variants: Sequence[Variant],
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.uint8]]:
    """Return the dihedral ids [V] and the palettes [V, 10] of variants."""
    dihedrals = np.array([variant.dihedral for variant in variants], dtype=np.intp)
    flat = b"".join(bytes(variant.palette) for variant in variants)
    return dihedrals, np.frombuffer(flat, dtype=np.uint8).reshape(len(variants), NUM_COLOURS)
