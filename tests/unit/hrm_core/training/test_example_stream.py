"""The stream of examples: translation, fairness between puzzles, going on where it stood."""

import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from augment import encode
from hrm_core import TrainingArrays, TrainingError
from hrm_core.training.arrays import ExampleStream, digest_arrays, shift

CANVAS = 6
Sizes = tuple[tuple[int, int], tuple[int, int]]


def arrays_of(variants_of_groups: list[int], num_examples: int = 3) -> TrainingArrays:
    """Make puzzles of so many variants; an example's colours identify it."""
    rng = np.random.default_rng(5)
    num_variants = sum(variants_of_groups)
    inputs, labels, room = [], [], []
    for variant in range(num_variants):
        for example in range(num_examples):
            grids = [
                rng.integers(0, 10, rng.integers(1, CANVAS - 1, 2)).astype(np.uint8)
                for _ in range(2)
            ]
            grids[0].flat[0], grids[1].flat[0] = variant % 10, example
            laid = encode(grids, CANVAS).astype(np.uint8)
            inputs.append(laid[0])
            labels.append(laid[1])
            room.append(CANVAS - np.max([grid.shape for grid in grids], axis=0))
    return TrainingArrays(
        canvas=CANVAS,
        inputs=np.stack(inputs),
        labels=np.stack(labels),
        room=np.array(room, dtype=np.uint8),
        rows=np.arange(1, num_variants + 1),
        variant_starts=np.arange(num_variants + 1) * num_examples,
        group_starts=np.cumsum([0, *variants_of_groups]),
    )


@given(
    sizes=st.lists(
        st.tuples(
            st.tuples(st.integers(1, 6), st.integers(1, 6)), st.tuples(*[st.integers(1, 6)] * 2)
        ),
        min_size=1,
        max_size=4,
    ),
    seed=st.integers(0, 10_000),
)
def test_shifting_a_canvas_moves_all_that_stays_on_it(sizes: list[Sizes], seed: int) -> None:
    rng = np.random.default_rng(seed)
    grids = [rng.integers(0, 10, pair).astype(np.uint8) for both in sizes for pair in both]
    room = np.repeat([CANVAS - np.max(both, axis=0) for both in sizes], 2, axis=0)
    offsets = rng.integers(0, room + 1)
    at_corner = encode(grids, CANVAS).astype(np.uint8)
    shifted = shift(at_corner, CANVAS, offsets[:, 0], offsets[:, 1])
    for before, after, (down, right) in zip(at_corner, shifted, offsets, strict=True):
        sheet = before.reshape(CANVAS, CANVAS)
        expected = np.zeros_like(sheet)
        expected[down:, right:] = sheet[: CANVAS - down, : CANVAS - right]
        assert after.tolist() == expected.ravel().tolist()


def test_each_round_visits_every_puzzle_once_with_all_examples_of_one_variant() -> None:
    arrays = arrays_of([1, 4, 2, 7, 3])
    stream = ExampleStream(arrays, seed=3)
    rows_by_round = []
    for _ in range(20):
        _, _, rows = stream.take(5 * 3)
        rows_by_round.append(rows)
        visits = rows.reshape(5, 3)
        assert (visits == visits[:, :1]).all()
        groups = np.searchsorted(arrays.group_starts, visits[:, 0] - 1, side="right") - 1
        assert sorted(groups.tolist()) == [0, 1, 2, 3, 4]
    assert stream.num_rounds == 20
    orders = {tuple(rows.tolist()) for rows in rows_by_round}
    assert len(orders) > 10
    assert {row for rows in rows_by_round for row in rows.tolist()} == set(range(1, 18))


def test_input_and_label_move_together_by_all_offsets_there_is_room_for() -> None:
    arrays = arrays_of([1], num_examples=1)
    down, right = arrays.room[0].tolist()
    expected = {
        (
            shift(arrays.inputs, CANVAS, np.array([row]), np.array([col])).tobytes(),
            shift(arrays.labels, CANVAS, np.array([row]), np.array([col])).tobytes(),
        )
        for row in range(down + 1)
        for col in range(right + 1)
    }
    # A single example is the one that stays; among twins, the other one moves.
    twice = TrainingArrays(
        canvas=CANVAS,
        inputs=arrays.inputs.repeat(2, axis=0),
        labels=arrays.labels.repeat(2, axis=0),
        room=arrays.room.repeat(2, axis=0),
        rows=arrays.rows,
        variant_starts=np.array([0, 2]),
        group_starts=arrays.group_starts,
    )
    inputs, labels, _ = ExampleStream(twice, seed=0).take(1000)
    found = {(a.tobytes(), b.tobytes()) for a, b in zip(inputs, labels, strict=True)}
    assert len(expected) > 1
    assert found == expected


def test_one_example_of_each_visit_stays_at_the_corner() -> None:
    arrays = arrays_of([2, 3, 1])
    inputs, labels, _ = ExampleStream(arrays, seed=1).take(3 * 300)
    at_corner = {
        (a.tobytes(), b.tobytes()) for a, b in zip(arrays.inputs, arrays.labels, strict=True)
    }
    stays = np.array(
        [(a.tobytes(), b.tobytes()) in at_corner for a, b in zip(inputs, labels, strict=True)]
    ).reshape(-1, 3)
    assert stays.any(axis=1).all()
    assert not stays.all()


def test_without_translation_every_example_stays_at_the_corner() -> None:
    arrays = arrays_of([2, 3])
    inputs, _, _ = ExampleStream(arrays, seed=1, translate=False).take(60)
    assert {a.tobytes() for a in inputs} <= {a.tobytes() for a in arrays.inputs}


def test_the_same_seed_gives_the_same_stream_whatever_the_batches() -> None:
    arrays = arrays_of([2, 3, 1])
    whole = ExampleStream(arrays, seed=7).take(60)
    pieces = ExampleStream(arrays, seed=7)
    parts = [pieces.take(num) for num in (1, 0, 17, 2, 40)]
    for i, array in enumerate(whole):
        np.testing.assert_array_equal(array, np.concatenate([part[i] for part in parts]))
    other = ExampleStream(arrays, seed=8).take(60)
    assert (whole[2] != other[2]).any()


@pytest.mark.parametrize("num_before", [0, 1, 8, 31])
def test_a_restored_stream_goes_on_identically(num_before: int) -> None:
    arrays = arrays_of([2, 3, 1])
    stream = ExampleStream(arrays, seed=7)
    stream.take(num_before)
    state = stream.state()
    expected = stream.take(50)  # the state must not move along
    restored = ExampleStream(arrays, seed=0)
    restored.restore(json.loads(json.dumps(state)))
    assert Counter(restored.take(50)[2].tolist()) == Counter(expected[2].tolist())
    restored.restore(state)
    for found, wanted in zip(restored.take(50), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize(
    "change",
    [
        {"inputs": np.zeros((5, CANVAS**2), dtype=np.uint8)},
        {"room": np.zeros((6, 1), dtype=np.uint8)},
        {"canvas": CANVAS + 1},
        {"variant_starts": np.array([0, 3, 3])},
        {"variant_starts": np.array([1, 3, 6])},
        {"variant_starts": np.array([0, 7, 6])},
        {"group_starts": np.array([0, 1])},
        {"group_starts": np.array([], dtype=np.int64)},
    ],
)
def test_arrays_that_do_not_belong_together_are_refused(change: dict[str, object]) -> None:
    arrays = arrays_of([2])
    fields = {name: getattr(arrays, name) for name in TrainingArrays.__slots__}
    TrainingArrays(**fields)
    with pytest.raises(TrainingError, match="do not belong together"):
        TrainingArrays(**{**fields, **change})


def digest(arrays: TrainingArrays, left_out: np.ndarray | None = None) -> str:
    return digest_arrays(
        [arrays], [np.zeros(len(arrays.inputs), bool) if left_out is None else left_out]
    )


def test_a_digest_differs_between_arrays() -> None:
    arrays, again, other = arrays_of([2]), arrays_of([2]), arrays_of([1, 1])
    assert digest(arrays) == digest(again)
    assert digest(arrays) != digest(other)


def left_out_of(arrays: TrainingArrays) -> np.ndarray:
    """Mark the second example of every variant."""
    left_out = np.zeros(len(arrays.inputs), bool)
    left_out[arrays.variant_starts[:-1] + 1] = True
    return left_out


def seen_in(stream: ExampleStream, num: int) -> set[bytes]:
    return {inputs.tobytes() for inputs in stream.take(num)[0]}


def test_left_out_examples_never_come_until_they_are_let_in() -> None:
    arrays = arrays_of([2, 3, 1])
    left_out = left_out_of(arrays)
    stream = ExampleStream(arrays, seed=4, translate=False, left_out=left_out)
    everything, kept = (
        {inputs.tobytes() for inputs in which}
        for which in (arrays.inputs, arrays.inputs[~left_out])
    )
    assert len(everything) == 18
    assert len(kept) == 12
    assert seen_in(stream, 600) == kept
    stream.leaves_out = False
    assert seen_in(stream, 600) == everything


def test_with_left_out_examples_a_round_still_visits_every_puzzle_once() -> None:
    arrays = arrays_of([2, 3, 1])
    stream = ExampleStream(arrays, seed=4, left_out=left_out_of(arrays))
    for _ in range(10):
        _, _, rows = stream.take(3 * 2)
        groups = np.searchsorted(arrays.group_starts, rows - 1, side="right") - 1
        assert sorted(groups.tolist()) == [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize("leaves_out", [True, False])
def test_a_restored_stream_leaves_out_what_it_did(leaves_out: bool) -> None:
    arrays = arrays_of([2, 3, 1])
    left_out = left_out_of(arrays)
    stream = ExampleStream(arrays, seed=4, left_out=left_out)
    stream.leaves_out = leaves_out
    stream.take(7)
    state = json.loads(json.dumps(stream.state()))
    restored = ExampleStream(arrays, seed=0, left_out=left_out)
    restored.restore(state)
    assert restored.leaves_out is leaves_out
    for found, wanted in zip(restored.take(60), stream.take(60), strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_a_variant_of_which_everything_is_left_out_is_refused() -> None:
    arrays = arrays_of([2, 1])
    left_out = np.zeros(len(arrays.inputs), bool)
    left_out[3:6] = True
    with pytest.raises(TrainingError, match="every example of a variant is left out"):
        ExampleStream(arrays, seed=0, left_out=left_out)


def test_a_digest_depends_on_what_is_left_out() -> None:
    arrays = arrays_of([2])
    left_out = left_out_of(arrays)
    assert len({digest(arrays), digest(arrays, left_out), digest(arrays, ~left_out)}) == 3
