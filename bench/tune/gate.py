"""Whether the chosen settings still answer right: the reference's numbers, votes, other slots."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from bench.tune.plan import Plan
from hrm_core import Engine, EngineConfig, Halting, Sample, can_compile, open_checkpoint
from hrm_core.agreement import compare_segments

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "data" / "golden"
DEMO = ROOT / "checkpoints" / "demo"
NUM_VARIANTS = 16
WANTED_SHARE = 0.98

Row = dict[str, object]


def measure_gate(plan: Plan) -> Iterator[Row]:
    """Compare with the reference's segments, and the demo's votes with those of plain settings."""
    device = plan.where()
    for stored in sorted(GOLDEN.glob("*/segments.npz")):
        agreement = compare_segments(open_checkpoint(stored.parent), stored, device)
        yield {
            "golden": stored.parent.name,
            "passed": agreement.agrees,
            "max_logit_error": agreement.max_logit_error,
            "notes": "; ".join(agreement.disagreements),
        }
    if DEMO.is_dir():
        plain, chosen = (_vote(plan, is_plain) for is_plain in (True, False))
        share = sum(plain[key] == chosen[key] for key in plain) / len(plain)
        yield {"votes": "demo", "passed": share >= WANTED_SHARE, "same_attempts": share}


def _vote(plan: Plan, is_plain: bool) -> dict[str, object]:
    """Give the two attempts on each test input of the demo's own puzzles."""
    from service.enrolment import Registrar
    from service.members import Member
    from service.puzzle_index import read_index
    from service.solve import SolveOptions, Solving, solve

    checkpoint, device = open_checkpoint(DEMO), plan.where()
    index = read_index(DEMO)
    puzzles = () if index is None else index.probes
    engine = Engine(
        checkpoint,
        EngineConfig(device, num_slots=16, precision="float32", attention="sdpa")
        if is_plain
        else EngineConfig(
            device,
            num_slots=16,
            precision=plan.precision,
            attention=plan.attention if device.type == "cuda" else "auto",
            compile=device.type == "cuda" and can_compile(device),
        ),
    )
    registrar = Registrar(checkpoint)
    options = SolveOptions(num_variants=NUM_VARIANTS, stop_early=False)
    solvings = [Solving(p, [Member.enrol(registrar, p)], options) for p in puzzles]
    solve([engine], solvings)
    return {
        f"{solving.puzzle.name} {number}": [grid.to_rows() for grid in test.attempts]
        for solving in solvings
        for number, test in enumerate(solving.answer().tests)
    }


def measure_permutation(plan: Plan) -> Iterator[Row]:
    """See whether samples answer the same bits in other slots, beside other neighbours."""
    device, checkpoint = plan.where(), plan.open()
    config = checkpoint.config
    num_slots = min(plan.slots or 8, 32)
    engine = Engine(
        checkpoint,
        EngineConfig(
            device,
            num_slots=num_slots,
            precision=plan.precision,
            attention=plan.attention,
            compile=device.type == "cuda" and can_compile(device),
        ),
    )
    rng = np.random.default_rng(0)
    tokens = rng.integers(0, config.vocab_size, (num_slots, config.seq_len)).astype(np.int32)
    rows = rng.standard_normal((num_slots, config.puzzle_emb_ndim)).astype(np.float32)
    answers = []
    for order in (np.arange(num_slots), rng.permutation(num_slots)):
        samples = [Sample(int(place), tokens[place], rows[place]) for place in order]
        engine.add(samples, job="permuted", halting=Halting.FIXED, max_segments=4)
        answers.append(
            {
                out.sample_id: (out.tokens.tobytes(), out.q_halt_logit, out.q_continue_logit)
                for out in engine.drain()
            }
        )
    same = sum(answers[0][place] == answers[1][place] for place in answers[0])
    yield {"slots": num_slots, "same": same, "passed": same == num_slots}
