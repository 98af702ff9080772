"""Pipeline: the cost of a variant outside the network, in encoding, decoding and voting."""

import time

import numpy as np
import numpy.typing as npt

from augment import Grid, Pair, Puzzle, Variant, decode_variants, draw_variants, encode_variants
from bench.clock import Call, Times, time_call
from bench.report import Row, Section, verdict
from voting import count_ballots

CANVAS = 30
NUM_VARIANTS = 1000
ROUNDS = 30
LIMIT_US = 20.0
Tokens = npt.NDArray[np.uint8]


def measure_pipeline() -> Section:
    """Time the stages for 1,000 variants of 30 x 30 grids, when all agree and when none does.

    Raises: RuntimeError when the votes differ from the constructed ones.
    """
    generator = np.random.default_rng(0)
    grids = [Grid(generator.integers(0, 10, (CANVAS, CANVAS), dtype=np.uint8)) for _ in range(3)]
    puzzle = Puzzle("noise", (Pair(grids[0], grids[1]),), (grids[2],))
    variants = draw_variants(puzzle, NUM_VARIANTS, seed=0)
    rows: list[Row] = []
    totals = []
    for label, tokens, num_grids in (
        ("all agree", encode_variants(grids[2], variants, CANVAS).astype(np.uint8), 1),
        ("all differ", _differing(grids[2], variants), NUM_VARIANTS),
    ):
        for stage, times in _time_stages(grids[2], variants, tokens, num_grids).items():
            row: Row = {
                "votes": label,
                "stage": stage,
                "best us": times.best_s / NUM_VARIANTS * 1e6,
                "median us": times.median_s / NUM_VARIANTS * 1e6,
                "worst us": times.worst_s / NUM_VARIANTS * 1e6,
            }
            rows.append(row)
            if stage == "all":
                totals.append(row["median us"])
    worst = max(totals)
    return Section(
        f"Pipeline: {NUM_VARIANTS} variants of {CANVAS} x {CANVAS} at once, a variant",
        rows,
        (
            "Processor time of a single thread, so other programs do not count.",
            "Counting includes decoding and inverting, so `all` is encoding and counting.",
            f"Median of `all` at most {worst:.1f} us a variant (limit {LIMIT_US:g} us): "
            + verdict(worst <= LIMIT_US),
        ),
    )


def _time_stages(
    grid: Grid, variants: tuple[Variant, ...], tokens: Tokens, num_grids: int
) -> dict[str, Times]:
    logits = np.random.default_rng(1).normal(size=len(variants)).astype(np.float32)
    tally = count_ballots(tokens, logits, variants)
    if (len(tally.entries), tally.num_votes) != (num_grids, len(variants)):
        raise RuntimeError(f"{len(tally.entries)} grids in the tally, expected {num_grids}")
    calls: dict[str, Call] = {
        "encode": lambda: encode_variants(grid, variants, CANVAS),
        "decode and invert": lambda: decode_variants(tokens, variants),
        "count (decoding included)": lambda: count_ballots(tokens, logits, variants),
        "all": lambda: (
            encode_variants(grid, variants, CANVAS),
            count_ballots(tokens, logits, variants),
        ),
    }
    return {stage: time_call(call, ROUNDS, clock=time.thread_time) for stage, call in calls.items()}


def _differing(grid: Grid, variants: tuple[Variant, ...]) -> Tokens:
    """Make predictions that all decode to different grids: three cells number the variants."""
    canvases = []
    for number, variant in enumerate(variants):
        cells = grid.cells.copy()
        cells[0, :3] = (number // 100, number // 10 % 10, number % 10)
        canvases.append(encode_variants(Grid(cells), (variant,), CANVAS))
    return np.concatenate(canvases).astype(np.uint8)
