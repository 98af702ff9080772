"""The engine against the plain loop: one sample at a time, straight from the network's segment."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hrm_core import Checkpoint, Engine, EngineConfig, Halting, Outcome, Sample, open_checkpoint
from hrm_core.model.attention_choice import load_backend
from hrm_core.model.network import Network

pytestmark = pytest.mark.usefixtures("one_thread")

GOLDEN = Path(__file__).parents[1] / "data" / "golden"
CPU = torch.device("cpu")
NAMES = ("hrm-rope", "trm")
NUM_SAMPLES = 10
NUM_SEGMENTS = 9  # more than the golden checkpoints' four, so that answers settle before the end
SETTLED_FOR = 4
SPARING_ODDS = (10.0, 50.0, 100.0)
CLEAR = 1e-2
# A halt hangs on many cells at many segments. Other batch sizes round by less than 1e-5.
CLEAR_HALT = 3e-4
CLEAR_ODDS = 1e-2
Key = tuple[bytes, float, float, int]


@dataclass(frozen=True)
class Loop:
    """What the plain loop answers, and by how much each decision in it was clear."""

    tokens: np.ndarray[Any, Any]
    is_clear_cell: np.ndarray[Any, Any]
    is_clear_halt: bool
    steps: int


def leading_colours(
    tokens: np.ndarray[Any, Any], is_clear: np.ndarray[Any, Any], canvas: int
) -> tuple[list[list[int]], bool]:
    """Return what decoding looks at, and whether all of that is clear.

    It looks at each row's colours from the left, no wider than those above.
    """
    rows, width, all_clear = [], canvas, True
    for row, clear in zip(tokens.reshape(canvas, -1), is_clear.reshape(canvas, -1), strict=True):
        looked_at = width
        width = next((index for index in range(width) if row[index] < 2), width)
        all_clear = all_clear and bool(clear[: min(looked_at, width + 1)].all())
        rows.append(row[:width].tolist())
    return rows, all_clear


def min_odds(logits: np.ndarray[Any, Any], part: list[list[int]], canvas: int) -> float:
    """Return the odds of the least clear cell that decoding looks at, by stablemax."""
    weights = np.where(logits >= 0, logits + 1, 1 / (1 - np.minimum(logits, 0)))
    second, first = np.sort(weights, axis=-1)[:, -2:].T
    odds = (first / second).reshape(canvas, canvas)
    return min((float(odds[i, : len(row)].min()) for i, row in enumerate(part) if row), default=0.0)


def run_loop(network: Network, sample: Sample, halting: Halting) -> Loop:
    config = network.config
    seen: list[list[list[int]]] = []
    with torch.inference_mode():
        z_H, z_L = network.fresh_state(1)
        tokens = torch.from_numpy(sample.tokens)[None]
        e = network.embed(tokens, torch.from_numpy(sample.puzzle_row)[None])
        is_clear_halt = True
        for step in range(1, NUM_SEGMENTS + 1):
            z_H, z_L = network.segment(z_H, z_L, e)
            q_halt = float(network.read_q(z_H)[0])
            logits = network.read_logits(z_H)[0].numpy()
            top_two = np.sort(logits, axis=-1)[:, -2:]
            margins = top_two[:, 1] - top_two[:, 0]
            if halting is Halting.ACT and step < NUM_SEGMENTS:
                part, is_clear_part = leading_colours(
                    logits.argmax(-1), margins > CLEAR_HALT, config.canvas
                )
                is_clear_halt = is_clear_halt and abs(q_halt) > CLEAR_HALT and is_clear_part
                odds = min_odds(logits, part, config.canvas)
                is_clear_halt &= all(abs(odds / one - 1) > CLEAR_ODDS for one in SPARING_ODDS)
                seen.append(part)
                settled_for = SETTLED_FOR - sum(odds >= one for one in SPARING_ODDS)
                last = seen[-settled_for - 1 :]
                if q_halt > 0 and len(last) > settled_for and all(one == last[0] for one in last):
                    break
    return Loop(logits.argmax(-1), margins > CLEAR, is_clear_halt, step)


@dataclass
class Bench:
    """A checkpoint with some samples, its engines by number of slots, and the loop's answers."""

    checkpoint: Checkpoint
    samples: list[Sample]
    loops: dict[Halting, list[Loop]]
    engines: dict[int, Engine] = field(default_factory=dict)
    answers: dict[tuple[int, Halting], dict[int, Key]] = field(default_factory=dict)

    def engine(self, num_slots: int) -> Engine:
        """Return the engine of so many slots; one is used again and again, as in service."""
        if num_slots not in self.engines:
            config = EngineConfig(CPU, num_slots=num_slots)
            self.engines[num_slots] = Engine(self.checkpoint, config)
        return self.engines[num_slots]

    def answers_in_order(self, num_slots: int, halting: Halting) -> dict[int, Key]:
        """Return what an engine answers when all samples come at once, in order."""
        if (num_slots, halting) not in self.answers:
            engine = self.engine(num_slots)
            engine.add(self.samples, job="in order", halting=halting, max_segments=NUM_SEGMENTS)
            self.answers[num_slots, halting] = keys(list(engine.drain()))
        return self.answers[num_slots, halting]


def keys(outcomes: Sequence[Outcome]) -> dict[int, Key]:
    found = {
        outcome.sample_id: (
            outcome.tokens.tobytes(),
            outcome.q_halt_logit,
            outcome.q_continue_logit,
            outcome.steps,
        )
        for outcome in outcomes
    }
    assert len(found) == len(outcomes), "a sample was answered twice"
    return found


@pytest.fixture(scope="module")
def benches(one_thread: None) -> dict[str, Bench]:
    """Return a bench for each golden architecture."""
    made = {}
    for name in NAMES:
        checkpoint = open_checkpoint(GOLDEN / name)
        config = checkpoint.config
        rng = np.random.default_rng(4)
        rows = checkpoint.rows.gather(rng.integers(0, config.num_rows, NUM_SAMPLES))
        samples = [
            Sample(i, rng.integers(0, config.vocab_size, config.seq_len).astype(np.int32), row)
            for i, row in enumerate(rows)
        ]
        network = checkpoint.load_network(load_backend("sdpa"), CPU, torch.float32)
        loops = {
            halting: [run_loop(network, sample, halting) for sample in samples]
            for halting in Halting
        }
        made[name] = Bench(checkpoint, samples, loops)
    return made


arrivals = st.permutations(range(NUM_SAMPLES))
pauses = st.lists(st.integers(0, 2), min_size=NUM_SAMPLES, max_size=NUM_SAMPLES)


@pytest.mark.parametrize("name", NAMES)
def test_the_loop_s_decisions_are_clear_nearly_everywhere_and_not_all_alike(
    benches: dict[str, Bench], name: str
) -> None:
    by_act, by_fixed = (benches[name].loops[halting] for halting in (Halting.ACT, Halting.FIXED))
    assert {loop.steps for loop in by_fixed} == {NUM_SEGMENTS}
    assert len({loop.steps for loop in by_act}) > 1
    assert sum(loop.is_clear_halt for loop in by_act) >= NUM_SAMPLES // 2
    assert np.mean([loop.is_clear_cell for loop in by_act]) > 0.95


@pytest.mark.parametrize("halting", Halting)
@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=4, deadline=None)
@given(num_slots=st.integers(1, 9), order=arrivals, steps_between=pauses)
def test_the_engine_answers_what_the_loop_answers_at_any_number_of_slots(
    benches: dict[str, Bench],
    name: str,
    halting: Halting,
    num_slots: int,
    order: list[int],
    steps_between: list[int],
) -> None:
    bench = benches[name]
    found = run_in_engine(bench, num_slots, halting, order, steps_between)
    for sample_id, loop in enumerate(bench.loops[halting]):
        tokens, _, _, steps = found[sample_id]
        if loop.is_clear_halt:
            assert steps == loop.steps
            same = np.frombuffer(tokens, dtype=np.uint8) == loop.tokens
            assert same[loop.is_clear_cell].all()


@pytest.mark.parametrize("halting", Halting)
@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=4, deadline=None)
@given(num_slots=st.sampled_from([1, 3, 7]), order=arrivals, steps_between=pauses)
def test_at_one_number_of_slots_answers_are_bit_equal_however_samples_arrive(
    benches: dict[str, Bench],
    name: str,
    halting: Halting,
    num_slots: int,
    order: list[int],
    steps_between: list[int],
) -> None:
    bench = benches[name]
    found = run_in_engine(bench, num_slots, halting, order, steps_between)
    assert found == bench.answers_in_order(num_slots, halting)


def test_answers_are_bit_equal_on_two_threads_too(benches: dict[str, Bench]) -> None:
    bench = benches["hrm-rope"]
    engine = Engine(bench.checkpoint, EngineConfig(CPU, num_slots=3, num_threads=2))
    try:
        found = []
        for samples in (bench.samples[:5], bench.samples[4::-1]):
            engine.add(samples, job="all", halting=Halting.FIXED, max_segments=2)
            found.append(keys(list(engine.drain())))
    finally:
        torch.set_num_threads(1)
    assert found[0] == found[1]


def run_in_engine(
    bench: Bench, num_slots: int, halting: Halting, order: list[int], steps_between: list[int]
) -> dict[int, Key]:
    """Let samples come one by one as several jobs, with steps in between."""
    engine = bench.engine(num_slots)
    outcomes: list[Outcome] = []
    for sample_id, num_steps in zip(order, steps_between, strict=True):
        engine.add(
            [bench.samples[sample_id]],
            job=sample_id % 3,
            halting=halting,
            max_segments=NUM_SEGMENTS,
        )
        for _ in range(num_steps):
            outcomes += engine.step()
    outcomes += engine.drain()
    assert engine.is_idle
    assert engine.num_seated == 0
    found = keys(outcomes)
    assert found.keys() == set(range(NUM_SAMPLES))
    return found


events = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(0, 1), st.integers(1, 4)),
        st.tuples(st.just("step"), st.integers(1, 2), st.just(0)),
        st.tuples(st.just("cancel"), st.integers(0, 1), st.just(0)),
        st.tuples(st.just("cancel odd"), st.integers(0, 1), st.just(0)),
    ),
    min_size=6,
    max_size=14,
)


@settings(max_examples=25, deadline=None)
@given(num_slots=st.integers(1, 5), events=events)
def test_every_sample_is_answered_once_or_cancelled_and_seats_never_leak(
    benches: dict[str, Bench], num_slots: int, events: list[tuple[str, int, int]]
) -> None:
    bench = benches["hrm-rope"]
    engine = bench.engine(num_slots)
    pending: dict[int, set[int]] = {job: set() for job in range(2)}
    num_added = 0

    def take(outcomes: list[Outcome]) -> None:
        for outcome in outcomes:
            job = next((j for j, ids in pending.items() if outcome.sample_id in ids), None)
            assert job is not None, "answered twice, or after it was cancelled"
            pending[job].remove(outcome.sample_id)

    for event, job, num in events:
        if event == "add":
            ids = range(num_added, num_added + num)
            num_added += num
            pending[job] |= set(ids)
            template = bench.samples[job]
            added = [Sample(i, template.tokens, template.puzzle_row) for i in ids]
            engine.add(added, job=job, halting=Halting.FIXED, max_segments=1 + num)
        elif event == "step":
            for _ in range(job):
                take(engine.step())
        else:
            gone = {i for i in pending[job] if event == "cancel" or i % 2}
            pending[job] -= gone
            assert engine.cancel(job, gone.__contains__) == len(gone)
        num_pending = sum(map(len, pending.values()))
        assert engine.num_waiting + engine.num_seated == num_pending
        assert engine.num_seated <= num_slots
    take(list(engine.drain()))
    assert not any(pending.values())
    assert engine.is_idle
