"""Adaptations: where rows start, what learns when, what is held out, stopping and going on."""

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from tolerances import assert_near

from augment import encode
from hrm_core import (
    Adaptation,
    AdaptProgress,
    AdaptTurn,
    CheckedExamples,
    Checkpoint,
    Ending,
    Phase,
    Pretraining,
    TrainingArrays,
    TrainingError,
    TrainSettings,
    expected_seconds,
    open_checkpoint,
    parse_arch,
    start_from,
)
from hrm_core.checkpoint.weights import RowTable
from hrm_core.model.attention_choice import load_backend
from hrm_core.training.checks import (
    Check,
    has_learned,
    has_stalled,
    right_in_segments,
    spacing_after,
)
from hrm_core.training.start import mean_row

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")
CANVAS = 4
RECORD = "how.json"
SNAPSHOT = ".training_state.pt"
# With 24 steps only the rows learn for 6, and the last phase begins after 17. Checks take an eighth
# of the time: here of 4 samples with 3 segments each, where a step trains 6 for three times as
# much, so 6 steps lie between two. The last comes just before the last phase.
NUM_STEPS, ROWS_UNTIL, LAST_FROM = 24, 6, 17
LOOKS_AT = [6, 12, 17]
SETTINGS = TrainSettings(
    num_steps=NUM_STEPS,
    rows_only_share=0.25,
    batch_size=6,
    slice_size=3,
    lr=1e-3,
    warmup_steps=2,
    ema_decay=0.9,
    translate=False,
    learns_continue=False,
    snapshot_s=1e9,
    log_every=1,
)

# Rates that leave a base as able as it was.
GENTLE = replace(SETTINGS, num_steps=30, lr=1e-5, row_lr=1e-4)

MakeCheckpoint = Callable[..., Path]


def arrays_of(labels: Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.uint8]]) -> TrainingArrays:
    """Make two puzzles of two variants with three random examples each."""
    rng = np.random.default_rng(0)
    inputs = [rng.integers(0, 10, (2, 3)).astype(np.uint8) for _ in range(12)]
    return TrainingArrays(
        canvas=CANVAS,
        inputs=encode(inputs, CANVAS).astype(np.uint8),
        labels=encode([labels(grid) for grid in inputs], CANVAS).astype(np.uint8),
        room=np.array([[2, 1]] * 12, dtype=np.uint8),
        rows=np.array([1, 2, 3, 4]),
        variant_starts=np.array([0, 3, 6, 9, 12]),
        group_starts=np.array([0, 2, 4]),
    )


@pytest.fixture(scope="module")
def arrays() -> TrainingArrays:
    """Return puzzles that turn each grid upside down."""
    return arrays_of(lambda grid: grid[::-1])


@pytest.fixture(scope="module")
def painting() -> TrainingArrays:
    """Return puzzles that paint everything in colour 3, which is soon learned."""
    return arrays_of(lambda grid: np.full_like(grid, 3))


@pytest.fixture
def base(make_checkpoint: MakeCheckpoint) -> Checkpoint:
    return open_checkpoint(make_checkpoint("base", H_cycles=1, L_cycles=1, num_rows=7))


LEFT_OUT = np.array([False, True, False] * 4)
CHECKED = np.flatnonzero(LEFT_OUT)


def adaptation_in(
    folder: Path,
    base: Checkpoint,
    arrays: TrainingArrays,
    settings: TrainSettings = SETTINGS,
    *,
    left_out: npt.NDArray[np.bool_] | None = LEFT_OUT,
    checked: npt.NDArray[np.int64] | None = CHECKED,
    practised: npt.NDArray[np.int64] | None = None,
    tapers: bool = True,
) -> Adaptation:
    run = Pretraining(
        folder,
        replace(base.config, num_rows=5),
        [arrays],
        settings,
        {"identifiers.json": ["<blank>", "a", "a_2", "b", "b_2"]},
        device=CPU,
        compile_step=False,
        start=start_from(base),
        left_out=None if left_out is None else [left_out],
    )
    return Adaptation(
        run,
        record_name=RECORD,
        made_from={"base": "base"},
        checked=[] if checked is None else [CheckedExamples(arrays, checked)],
        practised=[] if practised is None else [CheckedExamples(arrays, practised)],
        tapers=tapers,
    )


def ignore(progress: AdaptProgress) -> None:
    """Take no notice of progress."""


def between_steps(adaptation: Adaptation) -> Iterator[AdaptTurn]:
    return (turn for turn in adaptation.turns() if turn.is_between_steps)


def record_in(folder: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    return document


def same_weights(one: Path, other: Path, step: int = NUM_STEPS) -> bool:
    """Return whether two folders hold the same weights to the last bit."""
    found, wanted = (
        torch.load(folder / f"step_{step}", weights_only=True) for folder in (one, other)
    )
    return found.keys() == wanted.keys() and all(
        torch.equal(found[name], value) for name, value in wanted.items()
    )


# Where rows start.


class Numbered:
    """A table of any length whose rows hold their own number: too long to be read whole."""

    def __init__(self, num_rows: int) -> None:
        self.num_rows, self.ndim = num_rows, 2

    def gather(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        return np.repeat(np.asarray(rows, np.float32)[:, None], self.ndim, axis=1)


def test_the_mean_row_is_the_mean_of_all_but_the_blank_one(base: Checkpoint) -> None:
    rows = base.rows.gather(range(7))
    assert np.abs(rows[0]).min() > 1e-3  # or leaving it out would not show
    mean = mean_row(base)
    assert_near(mean, rows[1:].mean(axis=0), rtol=1e-5)
    assert mean.dtype == torch.float32


def test_the_mean_row_of_a_table_with_one_trained_row_is_that_row(base: Checkpoint) -> None:
    table = torch.tensor([[9.0, 9.0], [1.0, -2.0]])
    mean = mean_row(replace(base, rows=RowTable(table)))
    assert mean.tolist() == [1.0, -2.0]


@pytest.mark.parametrize("num_rows", [4097, 10_000, 300_000_000])
def test_rows_spread_over_a_large_table_stand_for_all(base: Checkpoint, num_rows: int) -> None:
    mean = mean_row(replace(base, rows=Numbered(num_rows)))
    assert_near(mean, np.full(mean.shape, num_rows / 2), rtol=1e-3)


@pytest.mark.parametrize("of", [{"num_rows": 1}, {"puzzle_emb_ndim": 0}])
def test_a_base_without_trained_rows_is_refused_by_name(
    make_checkpoint: MakeCheckpoint, of: dict[str, int]
) -> None:
    folder = make_checkpoint("bare", **of)
    with pytest.raises(TrainingError, match="bare has no trained rows"):
        start_from(open_checkpoint(folder))


def test_an_adaptation_starts_from_the_trunk_and_the_mean_row_of_its_base(
    tmp_path: Path, base: Checkpoint, arrays: TrainingArrays
) -> None:
    run = adaptation_in(tmp_path / "out", base, arrays).run
    for name, value in run.network.state_dict().items():
        assert torch.equal(value, base.trunk[name]), name
    assert not run.table[0].any()
    assert torch.equal(run.table[1:], mean_row(base).expand(4, -1))


def test_rows_of_the_same_names_are_taken_over(base: Checkpoint) -> None:
    base = replace(base, names=tuple(f"variant {row}" for row in range(base.rows.num_rows)))
    start = start_from(base, ["variant 0", "new", "variant 2", "variant 1", "another"])
    table = torch.full((5, base.rows.ndim), torch.nan)
    table[0] = 0.0

    start.fill(table)

    known = torch.from_numpy(base.rows.gather(np.array([2, 1])))
    assert not table[0].any()
    assert torch.equal(table[[2, 3]], known)
    assert torch.equal(table[[1, 4]], mean_row(base).expand(2, -1))


def test_a_base_in_half_precision_is_adapted_in_float32(
    tmp_path: Path, base: Checkpoint, arrays: TrainingArrays
) -> None:
    halved = {name: value.bfloat16() for name, value in base.trunk.items()}
    run = adaptation_in(tmp_path / "out", replace(base, trunk=halved), arrays).run
    assert {value.dtype for value in run.network.state_dict().values()} == {torch.float32}


# What learns when.


def test_only_rows_learn_then_everything_then_all_demonstrations(
    tmp_path: Path, base: Checkpoint, arrays: TrainingArrays
) -> None:
    adaptation = adaptation_in(tmp_path / "out", base, arrays)
    run = adaptation.run
    phases, trunk_learns, rates = [], [], []
    for turn in between_steps(adaptation):
        assert turn.progress is not None
        phases.append(turn.progress.phase)
        learned = run.network.state_dict()
        trunk_learns.append(any(not torch.equal(learned[n], v) for n, v in base.trunk.items()))
        rates.append(run.rate_factor)
    assert trunk_learns == [False] * ROWS_UNTIL + [True] * (NUM_STEPS - ROWS_UNTIL)
    # Told after each step is what learns in the next.
    assert phases == [
        *[Phase.ROWS] * (ROWS_UNTIL - 1),
        *[Phase.ALL] * (LAST_FROM - ROWS_UNTIL),
        *[Phase.LAST] * (NUM_STEPS - LAST_FROM + 1),
    ]
    assert rates[:LAST_FROM] == [1.0] * LAST_FROM
    assert all(later < earlier for earlier, later in pairwise(rates[LAST_FROM - 1 :]))
    assert rates[-1] == pytest.approx(0.1)


def test_held_out_demonstrations_are_seated_in_the_last_phase_only(
    tmp_path: Path, base: Checkpoint, arrays: TrainingArrays
) -> None:
    adaptation = adaptation_in(tmp_path / "out", base, arrays)
    held_out = {inputs.tobytes() for inputs in arrays.inputs[LEFT_OUT]}
    others = {inputs.tobytes() for inputs in arrays.inputs[~LEFT_OUT]}
    seated: dict[bool, set[bytes]] = {False: set(), True: set()}
    for _ in between_steps(adaptation):
        carried = adaptation.run.lanes.next().carry.inputs.numpy().astype(np.uint8)
        seated[adaptation.run.step > LAST_FROM] |= {inputs.tobytes() for inputs in carried}
    assert seated[False] == others
    assert len(seated[True] & held_out) >= 2


def test_where_nothing_is_held_out_nothing_is_checked(
    tmp_path: Path, base: Checkpoint, arrays: TrainingArrays
) -> None:
    adaptation = adaptation_in(tmp_path / "out", base, arrays, left_out=None, checked=None)
    assert adaptation.adapt(ignore)
    assert adaptation.checks == ()
    assert adaptation.held_out_share is None
    assert record_in(tmp_path / "out")["held_out_share"] is None


def test_progress_shows_how_much_of_the_budget_is_used(
    tmp_path: Path, base: Checkpoint, arrays: TrainingArrays
) -> None:
    adaptation = adaptation_in(tmp_path / "out", base, arrays)
    assert adaptation.progress.train is None
    assert adaptation.progress.used_share == 0.0
    found = [turn.progress for turn in between_steps(adaptation)]
    assert [progress.step for progress in found if progress] == list(range(1, NUM_STEPS + 1))
    for progress in found:
        assert progress is not None
        assert progress.used_share == pytest.approx(progress.step / NUM_STEPS, abs=1e-5)
        assert progress.train is not None
        assert progress.train.step == progress.step


def test_the_expected_time_follows_the_steps_that_were_measured(
    tmp_path: Path, base: Checkpoint, arrays: TrainingArrays
) -> None:
    adaptation = adaptation_in(tmp_path / "out", base, arrays)
    assert adaptation.progress.expected_s is adaptation.progress.remaining_s is None
    for _ in between_steps(adaptation):
        adaptation._steps_s.append(2.0)
        adaptation._steps_s.append(2.0)  # most of what was measured
        if adaptation.run.step == 20:
            break
    seconds = adaptation.run.seconds
    assert adaptation.expected_s == pytest.approx(seconds + 4 * 2.0)
    assert adaptation.remaining_s == pytest.approx(4 * 2.0)
    assert adaptation.adapt(ignore)
    assert adaptation.progress.remaining_s == 0.0
    assert adaptation.expected_s == adaptation.run.seconds


def test_a_time_of_which_a_part_is_used_is_expected_whole_until_it_ends_early(
    tmp_path: Path, base: Checkpoint, arrays: TrainingArrays
) -> None:
    hour = replace(SETTINGS, num_steps=None, max_seconds=3600.0)
    adaptation = adaptation_in(tmp_path / "out", base, arrays, hour)
    assert adaptation.progress.expected_s == adaptation.progress.remaining_s == 3600.0
    adaptation.run.seconds = 700.0
    adaptation.run.notes["last_from"] = 0.175
    assert adaptation.expected_s == pytest.approx(900.0)
    assert adaptation.remaining_s == pytest.approx(200.0)


@pytest.mark.parametrize(
    ("budget", "expected_s"),
    [
        ((None, None, 2.0), None),
        ((None, 60.0, None), 60.0),
        ((10, None, None), None),
        ((10, None, 2.0), 20.0),
        ((10, 60.0, None), None),  # whichever ends first
        ((10, 60.0, 2.0), 20.0),
        ((100, 60.0, 2.0), 60.0),
        ((10, None, 2.0, 4, 50.0), 62.0),
        ((10, None, 2.0, 12, 50.0), 50.0),
    ],
)
def test_a_budget_takes_its_steps_or_its_seconds(
    budget: tuple[Any, ...], expected_s: float | None
) -> None:
    assert expected_seconds(*budget) == expected_s


# The held-out check.


def test_the_held_out_share_is_looked_at_from_the_first_phase_on(
    tmp_path: Path, base: Checkpoint, arrays: TrainingArrays
) -> None:
    adaptation = adaptation_in(tmp_path / "out", base, arrays)
    shares: dict[int, float | None] = {}
    for turn in between_steps(adaptation):
        assert turn.progress is not None
        shares[turn.progress.step] = turn.progress.held_out_share
    assert [check.step for check in adaptation.checks] == LOOKS_AT
    assert [step for step, share in shares.items() if share is None] == [1, 2, 3, 4, 5]
    assert adaptation.held_out_share == adaptation.checks[-1].held_out_share
    record = record_in(tmp_path / "out")
    assert record["checks"] == [check._asdict() for check in adaptation.checks]
    assert record["held_out_share"] == adaptation.checks[-1].held_out_share
    assert record["learned_share"] is None


def test_looking_changes_nothing_of_what_is_learned(
    tmp_path: Path, base: Checkpoint, arrays: TrainingArrays
) -> None:
    for name, checked in (("looked", CHECKED), ("not", None)):
        adaptation_in(tmp_path / name, base, arrays, checked=checked).adapt(ignore)
    assert same_weights(tmp_path / "looked", tmp_path / "not")


def test_the_midst_of_a_look_is_not_between_steps(
    tmp_path: Path, base: Checkpoint, arrays: TrainingArrays
) -> None:
    adaptation = adaptation_in(tmp_path / "out", base, arrays)
    turns_of_step: dict[int, list[bool]] = {}
    for turn in adaptation.turns():
        turns_of_step.setdefault(adaptation.run.step, []).append(turn.is_between_steps)
    slices, segments = [False], [False] * base.config.halt_max_steps
    for step, turns in turns_of_step.items():
        looks = segments if step in LOOKS_AT else []
        assert turns == [*slices, *looks, True], step


@pytest.fixture(scope="module")
def painter_folder(
    painting: TrainingArrays, tmp_path_factory: pytest.TempPathFactory, one_thread: None
) -> Path:
    """Return the folder of a base that paints everything in colour 3, whatever the row."""
    arch = {
        "name": "hrm.hrm_act_v1@HierarchicalReasoningModel_ACTV1",
        **{"H_cycles": 1, "L_cycles": 1, "H_layers": 1, "L_layers": 1},
        **{"hidden_size": 16, "num_heads": 2, "expansion": 4, "puzzle_emb_ndim": 16},
        **{"halt_max_steps": 3, "halt_exploration_prob": 0.1},
        **{"pos_encodings": "rope", "forward_dtype": "float32"},
    }
    config = parse_arch({"arch": arch}).configure(vocab_size=12, seq_len=CANVAS**2, num_rows=5)
    folder = tmp_path_factory.mktemp("painter")
    settings = TrainSettings(num_steps=100, batch_size=12, lr=5e-3, warmup_steps=5)
    Pretraining(folder, config, [painting], settings, {}, device=CPU, compile_step=False).train(
        lambda progress: None
    )
    return folder


def look(base: Checkpoint, arrays: TrainingArrays, examples: list[int]) -> tuple[float, int]:
    """Give the share right, and how many pauses there were."""
    network = base.load_network(load_backend("sdpa"), CPU, torch.float32)
    table = torch.from_numpy(base.rows.gather(range(5)))
    check = right_in_segments(
        network, table, [CheckedExamples(arrays, np.array(examples, np.int64))]
    )
    num_pauses = 0
    while True:
        try:
            next(check)
        except StopIteration as end:
            return sum(end.value) / len(end.value), num_pauses
        num_pauses += 1


def test_the_share_counts_examples_that_are_right_to_the_last_cell(
    painter_folder: Path, painting: TrainingArrays
) -> None:
    painter = open_checkpoint(painter_folder)
    labels = painting.labels.copy()
    labels[0, 0] += 1  # wrong by one cell
    labels[4, 5:] = 0  # what has no label counts neither way
    spoilt = replace(painting, labels=labels)
    assert look(painter, painting, list(range(12))) == (1.0, 3)
    assert look(painter, spoilt, [0]) == (0.0, 3)
    assert look(painter, spoilt, [0, 1, 4, 11]) == (0.75, 3)
    # More than go through the network at once.
    assert look(painter, spoilt, [0] * 13 + [1] * 117) == (0.9, 9)


def checks_of(*shares: float | None, learned: float | None = None) -> list[Check]:
    """Make checks of these held-out shares, a sixteenth of the budget apart."""
    return [Check(num, num / 16, share, learned) for num, share in enumerate(shares)]


@pytest.mark.parametrize(
    ("shares", "stops"),
    [
        ([0.5] * 7, True),
        ([0.2, 0.5, 0.4, 0.5, 0.5, 0.1, 0.3, 0.2], True),
        ([0.5] * 6, False),  # too few to tell
        ([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7], False),
        ([0.2, 0.5, 0.4, 0.6, 0.5, 0.5, 0.5, 0.5], False),
        ([0.0] * 8, False),  # it may not have begun to rise
        ([None] * 8, False),
    ],
)
def test_the_share_has_stopped_rising_when_it_got_no_better_for_long(
    shares: list[float | None], stops: bool
) -> None:
    assert has_stalled(checks_of(*shares), since=0.0) == stops
    # What was seen while only rows learned does not count.
    assert not has_stalled(checks_of(*shares), since=0.5)


@pytest.mark.parametrize(
    ("checks", "is_enough"),
    [
        ([], False),
        (checks_of(1.0), False),
        (checks_of(0.0, 1.0, 1.0), True),
        (checks_of(0.95, 0.96), True),
        (checks_of(1.0, 0.94), False),
        (checks_of(1.0, 0.9, 1.0), False),
        # Where nothing is held out, demonstrations that were learned from must stay right longer.
        (checks_of(None, None, learned=1.0), False),
        (checks_of(None, None, None, learned=1.0), True),
        # Of several puzzles some have a demonstration held out, and all have to be right.
        (checks_of(1.0, 1.0, learned=0.5), False),
        (checks_of(1.0, 1.0, learned=1.0), True),
        (checks_of(0.5, 0.5, learned=1.0), False),
    ],
)
def test_enough_is_learned_when_what_is_checked_stays_right(
    checks: list[Check], is_enough: bool
) -> None:
    assert has_learned(checks) == is_enough


def test_checks_lie_close_together_early_and_once_enough_is_right() -> None:
    shares = [0.03, 0.1, 0.2, 0.6]
    assert [spacing_after(Check(1, share, 0.5, None)) for share in shares] == [
        *(1 / 64, 0.025, 0.05, 1 / 16)
    ]
    assert {spacing_after(Check(1, share, 1.0, None)) for share in shares} == {1 / 64}


def test_a_last_phase_that_begins_early_is_as_long_a_part_of_what_was_trained(
    tmp_path: Path, base: Checkpoint, arrays: TrainingArrays
) -> None:
    folder = tmp_path / "out"
    adaptation = adaptation_in(folder, base, arrays)
    num_last = 0
    for turn in between_steps(adaptation):
        assert turn.progress is not None
        if turn.progress.step == ROWS_UNTIL + 1:
            adaptation.run.notes["checks"] = [
                [step, 0.25 + step / 16, 0.5, None] for step in range(7)
            ]
        num_last += turn.progress.phase is Phase.LAST
    # It began after 8 steps, which are 70 % of 11.4.
    assert adaptation.run.step == record_in(folder)["steps"] == 12
    assert num_last == 5
    assert adaptation.run.rate_factor == pytest.approx(0.1)
    assert adaptation.is_complete
    assert adaptation.used_share == 1.0
    assert record_in(folder)["stopped_early"] is True
    assert record_in(folder)["ended_by"] == Ending.STALLED == "stalled"
    assert record_in(folder)["complete"] is True


@pytest.mark.parametrize(
    ("sets", "looks"),
    [
        ({"checked": CHECKED}, [6, 12]),
        # Demonstrations that were learned from are checked once more.
        ({"checked": None, "left_out": None, "practised": CHECKED}, [6, 12, 18]),
    ],
)
def test_a_run_that_answers_all_that_is_checked_stops_early(
    tmp_path: Path,
    painter_folder: Path,
    painting: TrainingArrays,
    sets: dict[str, Any],
    looks: list[int],
) -> None:
    folder = tmp_path / "out"
    adaptation = adaptation_in(folder, open_checkpoint(painter_folder), painting, GENTLE, **sets)
    assert adaptation.adapt(ignore)
    assert [check.step for check in adaptation.checks] == looks
    assert all(check.is_enough for check in adaptation.checks)
    assert adaptation.stopped_early
    assert adaptation.ending is Ending.LEARNED
    # The last phase is 30 % of all.
    assert adaptation.run.step == math.ceil(looks[-1] / 0.7)
    assert record_in(folder)["ended_by"] == "learned"


def test_a_run_that_its_budget_ends_says_so(
    tmp_path: Path, base: Checkpoint, arrays: TrainingArrays
) -> None:
    adaptation = adaptation_in(tmp_path / "out", base, arrays)
    assert adaptation.ending is None
    assert adaptation.adapt(ignore)
    assert adaptation.ending is Ending.BUDGET
    assert not adaptation.stopped_early
    assert record_in(tmp_path / "out")["ended_by"] == "budget"


def test_the_share_of_each_puzzle_is_recorded(
    tmp_path: Path, painter_folder: Path, painting: TrainingArrays
) -> None:
    labels = painting.labels.copy()
    labels[CHECKED[-1], 0] += 1  # of the second puzzle's two held-out examples one is wrong
    spoilt = replace(painting, labels=labels)
    adaptation = adaptation_in(tmp_path / "out", open_checkpoint(painter_folder), spoilt, GENTLE)
    adaptation._held_out = [CheckedExamples(spoilt, CHECKED, ("a", "a", "b", "b"))]
    assert adaptation.adapt(ignore)
    assert record_in(tmp_path / "out")["held_out_by_puzzle"] == {"a": 1.0, "b": 0.5}
    assert adaptation.held_out_share == 0.75


# Stopping and going on.


@pytest.fixture(scope="module")
def undisturbed(
    painter_folder: Path, arrays: TrainingArrays, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Return the folder of an adaptation of the painter that nothing interrupted."""
    folder = tmp_path_factory.mktemp("undisturbed")
    assert adaptation_in(folder, open_checkpoint(painter_folder), arrays).adapt(ignore)
    return folder


@pytest.mark.parametrize("stops_at", [(3,), (7, 8), (16, 17, 21)])
def test_an_interrupted_adaptation_ends_as_an_undisturbed_one(
    tmp_path: Path,
    painter_folder: Path,
    arrays: TrainingArrays,
    undisturbed: Path,
    stops_at: tuple[int, ...],
) -> None:
    base, pieces = open_checkpoint(painter_folder), tmp_path / "pieces"
    for stop_at in stops_at:
        adaptation = adaptation_in(pieces, base, arrays)
        run = adaptation.run
        assert not adaptation.adapt(ignore, lambda run=run, stop_at=stop_at: run.step == stop_at)
        assert adaptation_in(pieces, base, arrays).run.step == stop_at
    assert adaptation_in(pieces, base, arrays).adapt(ignore)
    assert same_weights(pieces, undisturbed)
    found, wanted = record_in(pieces), record_in(undisturbed)
    assert [found | {"seconds": 0}] == [wanted | {"seconds": 0}]


@pytest.mark.parametrize("left_at", [9, 10])
def test_an_adaptation_killed_in_the_midst_of_a_step_ends_as_an_undisturbed_one(
    tmp_path: Path, painter_folder: Path, arrays: TrainingArrays, undisturbed: Path, left_at: int
) -> None:
    base, killed = open_checkpoint(painter_folder), tmp_path / "killed"
    adaptation = adaptation_in(killed, base, arrays)
    for turn in adaptation.turns():
        if turn.is_between_steps and adaptation.run.step == 7:
            adaptation.save()
        if not turn.is_between_steps and adaptation.run.step == left_at:
            break
    again = adaptation_in(killed, base, arrays)
    assert again.run.step == 7
    assert again.adapt(ignore)
    assert same_weights(killed, undisturbed)


def test_an_early_stop_is_remembered_over_a_restart(
    tmp_path: Path, painter_folder: Path, painting: TrainingArrays
) -> None:
    painter = open_checkpoint(painter_folder)
    for name, stop_at in (("whole", 0), ("pieces", 14)):
        adaptation = adaptation_in(tmp_path / name, painter, painting, GENTLE)
        run = adaptation.run
        adaptation.adapt(ignore, lambda run=run, stop_at=stop_at: run.step == stop_at)
    adaptation = adaptation_in(tmp_path / "pieces", painter, painting, GENTLE)
    assert adaptation.phase is Phase.LAST
    assert adaptation.stopped_early
    assert adaptation.adapt(ignore)
    assert same_weights(tmp_path / "pieces", tmp_path / "whole", 18)


def test_two_adaptations_of_one_seed_are_equal_and_of_another_are_not(
    tmp_path: Path, painter_folder: Path, arrays: TrainingArrays, undisturbed: Path
) -> None:
    painter = open_checkpoint(painter_folder)
    for name, seed in (("same", 0), ("other", 1)):
        adaptation_in(tmp_path / name, painter, arrays, replace(SETTINGS, seed=seed)).adapt(ignore)
    assert same_weights(tmp_path / "same", undisturbed)
    assert not same_weights(tmp_path / "other", undisturbed)


def test_rates_stay_within_theirs_when_the_budget_is_prolonged_in_the_last_phase(
    tmp_path: Path, base: Checkpoint, arrays: TrainingArrays
) -> None:
    adaptation = adaptation_in(tmp_path / "out", base, arrays)
    run = adaptation.run
    adaptation.adapt(ignore, lambda: run.step == 20)
    longer = adaptation_in(tmp_path / "out", base, arrays, replace(SETTINGS, num_steps=40))
    rates = [longer.run.rate_factor for _ in between_steps(longer)]
    assert longer.run.step == 40
    assert longer.phase is Phase.LAST
    assert rates[0] == max(rates) == 1.0
    assert rates[-1] == pytest.approx(0.1)


def test_rates_that_do_not_fall_stay_and_nothing_ends_the_training_early(
    tmp_path: Path, painter_folder: Path, painting: TrainingArrays
) -> None:
    painter = open_checkpoint(painter_folder)
    early = adaptation_in(tmp_path / "early", painter, painting, GENTLE)
    whole = adaptation_in(tmp_path / "whole", painter, painting, GENTLE, tapers=False)
    factors = [whole.run.rate_factor for _ in between_steps(whole)]

    assert early.adapt(ignore)
    assert early.run.step < 30
    assert (whole.run.step, whole.ending, set(factors)) == (30, Ending.BUDGET, {1.0})


def test_the_budget_of_time_may_be_changed_and_is_kept_over_a_restart(
    tmp_path: Path, base: Checkpoint, arrays: TrainingArrays
) -> None:
    settings = replace(SETTINGS, num_steps=None, max_seconds=1e6)
    adaptation = adaptation_in(tmp_path / "out", base, arrays, settings)
    assert adaptation.sample_s is None
    adaptation.adapt(ignore, lambda: adaptation.run.step == 3)
    assert adaptation.sample_s == pytest.approx(adaptation.step_s / 6)
    adaptation.end_within(2e6)
    adaptation.save()

    again = adaptation_in(tmp_path / "out", base, arrays, settings)
    assert again.run.settings.max_seconds == 2e6
    again.run.seconds = 1.5e6  # as if so much had been trained: the last phase is due
    assert not again.adapt(ignore, lambda: again.run.step == 5)
    assert again.phase is Phase.LAST
    again.end_within(9e6)
    assert again.expected_s == pytest.approx(2e6)
    again.end_within(0.0)
    assert again.is_complete


# What is written.


def test_a_save_writes_a_checkpoint_that_says_it_is_not_complete(
    tmp_path: Path, base: Checkpoint, arrays: TrainingArrays
) -> None:
    folder = tmp_path / "out"
    adaptation = adaptation_in(folder, base, arrays)
    run = adaptation.run
    assert not adaptation.adapt(ignore, lambda: run.step == 9)
    assert adaptation.num_saves == 1
    assert (folder / SNAPSHOT).exists()
    assert open_checkpoint(folder).names == ("<blank>", "a", "a_2", "b", "b_2")
    record = record_in(folder)
    assert (record["base"], record["steps"], record["complete"]) == ("base", 9, False)
    assert record["checks"] == [check._asdict() for check in adaptation.checks]


def test_at_the_end_the_record_says_complete_and_the_snapshot_is_gone(
    tmp_path: Path, base: Checkpoint, arrays: TrainingArrays
) -> None:
    folder = tmp_path / "out"
    adaptation = adaptation_in(folder, base, arrays)
    assert adaptation.adapt(ignore)
    assert record_in(folder)["complete"] is True
    assert record_in(folder)["steps"] == NUM_STEPS
    assert not (folder / SNAPSHOT).exists()
    checkpoint = open_checkpoint(folder)
    np.testing.assert_array_equal(checkpoint.rows.gather(range(5)), adaptation.run.table.numpy())
    for name, value in adaptation.run.learned_trunk.items():
        assert torch.equal(checkpoint.trunk[name], value), name


def test_a_stop_that_comes_with_the_last_step_comes_too_late(
    tmp_path: Path, base: Checkpoint, arrays: TrainingArrays
) -> None:
    folder = tmp_path / "out"
    adaptation = adaptation_in(folder, base, arrays)
    run = adaptation.run
    assert adaptation.adapt(ignore, lambda: run.step == NUM_STEPS)
    assert record_in(folder)["complete"] is True
    assert not (folder / SNAPSHOT).exists()


def test_nothing_says_complete_before_the_last_weights_are_written(
    tmp_path: Path, base: Checkpoint, arrays: TrainingArrays
) -> None:
    folder = tmp_path / "out"
    adaptation = adaptation_in(folder, base, arrays)
    for _ in between_steps(adaptation):
        if adaptation.run.step == 20:
            adaptation.save()
        if adaptation.run.step == NUM_STEPS:
            # The weights cannot be written: a full disk would do the same.
            (folder / f".step_{NUM_STEPS}.partial").mkdir()
            break
    with pytest.raises((OSError, RuntimeError)):
        adaptation.save()
    assert [path.name for path in folder.glob("step_*")] == ["step_20"]
    assert record_in(folder)["complete"] is False


def test_snapshots_are_written_on_the_way(
    tmp_path: Path, base: Checkpoint, arrays: TrainingArrays
) -> None:
    folder = tmp_path / "out"
    adaptation = adaptation_in(folder, base, arrays, replace(SETTINGS, snapshot_s=1e-9))
    turns = between_steps(adaptation)
    next(turns)
    assert adaptation.num_saves == 1
    assert (folder / SNAPSHOT).exists()
    assert record_in(folder)["steps"] == 1
    assert adaptation_in(folder, base, arrays).run.step == 1
    # The next one is due when its cost is a twentieth of the training since.
    next(turns)
    assert adaptation.num_saves == 1
