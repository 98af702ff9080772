"""The accuracy gate: the chosen settings against the reference, votes and other slots."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from bench.tune.plan import Plan, Row, engine_kind
from hrm_core import Engine, EngineConfig, Halting, Sample, open_checkpoint
from hrm_core.checkpoint.agreement import compare_segments

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "data" / "golden"
ARC1 = ROOT / "checkpoints" / "arc1"
NUM_VARIANTS = 16
MIN_SHARE = 0.98


def measure_gate(plan: Plan) -> Iterator[Row]:
    """Compare with the reference's segments, and arc1's votes with those of plain settings."""
    device = plan.where()
    for stored in sorted(GOLDEN.glob("*/segments.npz")):
        agreement = compare_segments(open_checkpoint(stored.parent), stored, device)
        yield {
            "golden": stored.parent.name,
            "passed": agreement.agrees,
            "max_logit_error": agreement.max_logit_error,
            "notes": "; ".join(agreement.disagreements),
        }
    if ARC1.is_dir():
        arc1 = open_checkpoint(ARC1)
        config = EngineConfig(device, num_slots=16, attention="sdpa")
        plain = _vote(engine_kind(arc1)(arc1, config))
        # Its sizes differ, so its attention is measured again.
        with replace(plan, attention="auto").engine(arc1, num_slots=16) as engine:
            chosen = _vote(engine)
        share = sum(plain[key] == chosen[key] for key in plain) / len(plain)
        yield {"votes": "arc1", "passed": share >= MIN_SHARE, "same_first_attempts": share}


def _vote(engine: Engine) -> dict[str, object]:
    """Return the first attempt at each test input of arc1's probes.

    Not the second: often a single variant decides which grid it is.
    """
    from service.solving.enrolment import RowIndex
    from service.solving.members import Member
    from service.solving.records import read_index
    from service.solving.solve import Solving, solve
    from service.wire.options import SolveOptions

    index = read_index(ARC1)
    row_index = RowIndex(engine.checkpoint)
    options = SolveOptions(variants=NUM_VARIANTS, stop_early=False)
    solvings = [
        Solving(puzzle, [Member.find(row_index, puzzle)], options)
        for puzzle in (() if index is None else index.probes)
    ]
    solve([engine], solvings)
    return {
        f"{solving.puzzle.name} {number}": [grid.to_rows() for grid in test.attempts[:1]]
        for solving in solvings
        for number, test in enumerate(solving.answer().tests)
    }


def measure_permutation(plan: Plan) -> Iterator[Row]:
    """Check that samples answer the same bits in other slots with other neighbours."""
    checkpoint = plan.open()
    num_slots = min(plan.slots or 8, 32)
    with plan.engine(checkpoint, num_slots) as engine:
        same = _count_same(engine)
    yield {"slots": num_slots, "same": same, "passed": same == num_slots}


def _count_same(engine: Engine) -> int:
    """Return the number of samples that answer the same bits in order and permuted."""
    config, num_slots = engine.checkpoint.config, engine.num_slots
    rng = np.random.default_rng(0)
    tokens = rng.integers(0, config.vocab_size, (num_slots, config.seq_len)).astype(np.int32)
    rows = rng.standard_normal((num_slots, config.puzzle_emb_ndim)).astype(np.float32)
    answers = []
    for order in (np.arange(num_slots), rng.permutation(num_slots)):
        samples = [Sample(int(index), tokens[index], rows[index]) for index in order]
        engine.add(samples, job="permuted", halting=Halting.FIXED, max_segments=4)
        answers.append(
            {
                out.sample_id: (out.tokens.tobytes(), out.q_halt_logit, out.q_continue_logit)
                for out in engine.drain()
            }
        )
    return sum(answers[0][index] == answers[1][index] for index in answers[0])
