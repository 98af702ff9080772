"""Training runs in a folder: interrupted and taken up again, learning, and what they leave."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from generators import finish
from tolerances import assert_near

from augment import encode
from hrm_core import (
    Engine,
    EngineConfig,
    Halting,
    ModelConfig,
    Pretraining,
    Sample,
    TrainingArrays,
    TrainingError,
    TrainProgress,
    TrainSettings,
    open_checkpoint,
)
from hrm_core.training import pretrain
from hrm_core.training.run_files import SNAPSHOT_NAME, remove_snapshot
from hrm_core.training.start import Start
from hrm_core.training.step import TrainCarry, train_segment

pytestmark = pytest.mark.usefixtures("one_thread")

MakeConfig = Callable[..., ModelConfig]
CPU = torch.device("cpu")
CANVAS = 4
TRM_NAME = "recursive_reasoning.trm@TinyRecursiveReasoningModel_ACTV1"
ARCHITECTURES = {
    "hrm": {"H_cycles": 1, "L_cycles": 2},
    "trm": {"name": TRM_NAME, "puzzle_emb_len": 2, "L_cycles": 2},
    "hrm in bfloat16": {"H_cycles": 1, "L_cycles": 1, "forward_dtype": "bfloat16"},
    "hrm without rows": {"H_cycles": 1, "L_cycles": 1, "puzzle_emb_ndim": 0},
}
SETTINGS = TrainSettings(
    num_steps=9, batch_size=6, lr=1e-3, warmup_steps=2, ema_decay=0.9, snapshot_s=1e9, log_every=4
)


@pytest.fixture(scope="module")
def arrays() -> TrainingArrays:
    """Return two puzzles, one that copies and one that paints everything in colour 3."""
    rng = np.random.default_rng(0)
    inputs = [rng.integers(0, 10, (2, 3)).astype(np.uint8) for _ in range(6)]
    outputs = [grid if i < 3 else np.full_like(grid, 3) for i, grid in enumerate(inputs)]
    return TrainingArrays(
        canvas=CANVAS,
        inputs=encode(inputs, CANVAS).astype(np.uint8),
        labels=encode(outputs, CANVAS).astype(np.uint8),
        room=np.array([[2, 1]] * 6, dtype=np.uint8),
        rows=np.array([1, 2]),
        variant_starts=np.array([0, 3, 6]),
        group_starts=np.array([0, 1, 2]),
    )


def start(
    folder: Path, config: ModelConfig, arrays: TrainingArrays, settings: TrainSettings = SETTINGS
) -> Pretraining:
    documents = {"identifiers.json": ["<blank>", "copy", "paint"]}
    return Pretraining(
        folder, config, [arrays], settings, documents, device=CPU, compile_step=False
    )


def ignore(progress: TrainProgress) -> None:
    """Take no notice of progress."""


def weights_in(folder: Path, step: int) -> dict[str, torch.Tensor]:
    weights: dict[str, torch.Tensor] = torch.load(folder / f"step_{step}", weights_only=True)
    return weights


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_an_interrupted_run_ends_with_the_very_weights_of_an_undisturbed_one(
    tmp_path: Path, tiny_config: MakeConfig, arrays: TrainingArrays, name: str
) -> None:
    # Every sample would halt, and half of them may not before a random step: the draws must go on
    # as well.
    config = tiny_config(num_rows=3, halt_exploration_prob=0.5, **ARCHITECTURES[name])

    def start_eagerly(folder: str) -> Pretraining:
        run = start(tmp_path / folder, config, arrays)
        if run.step == 0:
            run.network.q_head.get_parameter("bias").data.copy_(torch.tensor([9.0, -9.0]))
        return run

    assert start_eagerly("whole").train(ignore)
    for stop_at in (2, 5):  # at 5, some samples are in the midst of theirs
        run = start_eagerly("pieces")
        assert not run.train(ignore, lambda run=run, stop_at=stop_at: run.step == stop_at)
        assert run.step == stop_at
    run = start_eagerly("pieces")
    assert run.step == 5
    assert run.train(ignore)
    whole, pieces = (weights_in(tmp_path / folder, 9) for folder in ("whole", "pieces"))
    assert whole.keys() == pieces.keys()
    for key, value in whole.items():
        assert torch.equal(value, pieces[key]), key
    assert [path.name for path in (tmp_path / "pieces").glob("step_*")] == ["step_9"]


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_folder_a_run_leaves_is_a_checkpoint(
    tmp_path: Path, tiny_config: MakeConfig, arrays: TrainingArrays, name: str
) -> None:
    config = tiny_config(num_rows=3, **ARCHITECTURES[name])
    run = start(tmp_path, config, arrays)
    run.train(ignore)
    checkpoint = open_checkpoint(tmp_path)
    has_rows = bool(config.puzzle_emb_ndim)
    assert checkpoint.config == (config if has_rows else replace(config, num_rows=0))
    assert checkpoint.names == (("<blank>", "copy", "paint") if has_rows else None)
    if has_rows:
        np.testing.assert_array_equal(checkpoint.rows.gather([0, 1, 2]), run.table.numpy())
        assert not run.table[0].any()  # the blank row is never touched
        assert run.table[1:].any(dim=1).all()
    assert remove_snapshot(tmp_path) is None
    assert open_checkpoint(tmp_path).sha256 == checkpoint.sha256


def test_the_exported_weights_are_the_average_and_the_rows_are_not_averaged(
    tmp_path: Path, tiny_config: MakeConfig, arrays: TrainingArrays
) -> None:
    config = tiny_config(num_rows=3, **ARCHITECTURES["trm"])
    run = start(tmp_path, config, arrays)
    run.train(ignore)
    trunk = open_checkpoint(tmp_path).trunk
    assert run.average is not None
    live = run.network.state_dict()
    for name, value in run.average.shadow.items():
        assert torch.equal(trunk[name], value), name
    moved = [name for name in run.average.shadow if not torch.equal(trunk[name], live[name])]
    assert len(moved) > len(run.average.shadow) / 2
    assert torch.equal(trunk["H_init"], live["H_init"])


def test_without_an_average_the_live_weights_are_exported(
    tmp_path: Path, tiny_config: MakeConfig, arrays: TrainingArrays
) -> None:
    config = tiny_config(num_rows=3, **ARCHITECTURES["hrm"])
    run = start(tmp_path, config, arrays, replace(SETTINGS, ema_decay=0.0, num_steps=3))
    run.train(ignore)
    trunk = open_checkpoint(tmp_path).trunk
    for name, value in run.network.state_dict().items():
        assert torch.equal(trunk[name], value), name


def test_training_learns_two_puzzles_to_the_last_cell(
    tmp_path: Path, tiny_config: MakeConfig, arrays: TrainingArrays
) -> None:
    config = tiny_config(num_rows=3, hidden_size=32, puzzle_emb_ndim=32, H_cycles=1, L_cycles=1)
    settings = replace(
        SETTINGS,
        num_steps=100,
        batch_size=12,
        lr=3e-3,
        warmup_steps=10,
        lr_min_ratio=0.1,
        ema_decay=0.8,
        log_every=10,
        translate=False,
    )
    progress: list[TrainProgress] = []
    start(tmp_path, config, arrays, settings).train(progress.append)
    assert [report.step for report in progress] == list(range(10, 101, 10))
    assert progress[-1].lm_loss < 0.4 * progress[0].lm_loss
    assert progress[-1].right_share > 0.9 > progress[0].right_share
    log = (tmp_path / "training_log.jsonl").read_text().splitlines()
    assert [json.loads(line)["lm_loss"] for line in log] == [r.lm_loss for r in progress]

    checkpoint = open_checkpoint(tmp_path)
    engine = Engine(checkpoint, EngineConfig(CPU, num_slots=4))
    rows = checkpoint.rows.gather([1] * 3 + [2] * 3)
    engine.add(
        [Sample(i, arrays.inputs[i].astype(np.int32), row) for i, row in enumerate(rows)],
        job="all",
        halting=Halting.FIXED,
    )
    for outcome in engine.drain():
        labels = arrays.labels[outcome.sample_id]
        is_label = labels != 0
        assert (outcome.tokens == labels)[is_label].all(), outcome.sample_id


def test_a_run_with_other_settings_is_refused_in_the_same_folder(
    tmp_path: Path, tiny_config: MakeConfig, arrays: TrainingArrays
) -> None:
    config = tiny_config(num_rows=3, **ARCHITECTURES["hrm"])
    start(tmp_path, config, arrays, replace(SETTINGS, num_steps=1)).train(ignore)
    for settings in (replace(SETTINGS, lr=2e-3), replace(SETTINGS, seed=1)):
        with pytest.raises(TrainingError, match="a training run with other settings"):
            start(tmp_path, config, arrays, settings)
    with pytest.raises(TrainingError, match="a training run with other settings"):
        start(tmp_path, replace(config, L_cycles=1), arrays)
    # Its length may change: that is how a run is prolonged.
    assert start(tmp_path, config, arrays, replace(SETTINGS, num_steps=2)).step == 1


def test_a_run_on_other_puzzles_is_refused_in_the_same_folder(
    tmp_path: Path, tiny_config: MakeConfig, arrays: TrainingArrays
) -> None:
    config = tiny_config(num_rows=3, **ARCHITECTURES["hrm"])
    start(tmp_path, config, arrays, replace(SETTINGS, num_steps=1)).train(ignore)
    others = replace(arrays, labels=arrays.labels[::-1].copy())
    with pytest.raises(TrainingError, match="on other puzzles"):
        start(tmp_path, config, others)


def test_a_damaged_snapshot_is_refused_naming_the_file(
    tmp_path: Path, tiny_config: MakeConfig, arrays: TrainingArrays
) -> None:
    config = tiny_config(num_rows=3, **ARCHITECTURES["hrm"])
    start(tmp_path, config, arrays, replace(SETTINGS, num_steps=1)).train(ignore)
    snapshot = tmp_path / ".training_state.pt"
    snapshot.write_bytes(snapshot.read_bytes()[:1000])
    with pytest.raises(TrainingError, match=r"\.training_state\.pt cannot be read"):
        start(tmp_path, config, arrays)


@pytest.mark.parametrize(
    ("of_config", "of_arrays", "problem"),
    [
        ({"canvas": 5}, {}, "arrays of canvas 4, model of 5"),
        ({"num_rows": 2}, {}, "row 2 is outside a table of 2"),
        ({}, {"rows": np.array([-1, 2])}, "outside a table of 3"),
        ({"vocab_size": 11}, {}, "tokens outside a vocabulary of 11"),
    ],
)
def test_arrays_that_do_not_fit_the_model_are_refused(
    tmp_path: Path,
    tiny_config: MakeConfig,
    arrays: TrainingArrays,
    of_config: dict[str, int],
    of_arrays: dict[str, np.ndarray],
    problem: str,
) -> None:
    config = tiny_config(**{"num_rows": 3, **of_config})
    with pytest.raises(TrainingError, match=problem):
        start(tmp_path, config, replace(arrays, **of_arrays))


def test_exploration_holds_a_sure_sample_back_but_not_beyond_the_last_step(
    tmp_path: Path, tiny_config: MakeConfig, arrays: TrainingArrays
) -> None:
    arch = {"halt_max_steps": 4, **ARCHITECTURES["hrm"]}
    halted_by_prob = {}
    for prob in (0.0, 1.0):
        config = tiny_config(num_rows=3, halt_exploration_prob=prob, **arch)
        network = start(tmp_path / str(prob), config, arrays).network
        with torch.no_grad():
            network.q_head.get_parameter("bias").copy_(torch.tensor([9.0, -9.0]))
        carry = TrainCarry.empty(network, 6, CPU)
        batch = [torch.from_numpy(a.astype(np.int64)) for a in (arrays.inputs, arrays.labels)]
        generator = torch.Generator().manual_seed(0)
        shares = []
        for _ in range(4):
            train_segment_on(network, carry, batch, generator)
            shares.append(float(carry.halted.double().mean()))
            carry.halted &= carry.steps >= 4  # keep them all going
        halted_by_prob[prob] = shares
    assert halted_by_prob[0.0] == [1.0] * 4
    assert halted_by_prob[1.0][0] == 0.0
    assert 0.0 < halted_by_prob[1.0][1] < 1.0
    assert halted_by_prob[1.0][3] == 1.0


def train_segment_on(
    network: torch.nn.Module,
    carry: TrainCarry,
    batch: list[torch.Tensor],
    generator: torch.Generator,
) -> None:
    carry.refill(*(array[carry.halted] for array in batch), torch.zeros(int(carry.halted.sum())))
    finish(train_segment(network, carry, torch.zeros(6, 16, requires_grad=True), generator))


@pytest.mark.parametrize("learns_continue", [True, False])
@pytest.mark.parametrize("slice_size", [1, 2, 3])
def test_slices_of_a_batch_add_up_to_the_gradients_of_the_whole(
    tmp_path: Path,
    tiny_config: MakeConfig,
    arrays: TrainingArrays,
    slice_size: int,
    learns_continue: bool,
) -> None:
    config = tiny_config(num_rows=3, halt_exploration_prob=0.5, **ARCHITECTURES["hrm"])
    found = []
    for size in (None, slice_size):
        network = start(tmp_path, config, arrays).network
        carry = TrainCarry.empty(network, 6, CPU)
        row_values = torch.linspace(-1, 1, 96).reshape(6, 16).requires_grad_()
        generator = torch.Generator().manual_seed(3)
        for _ in range(2):  # the second time some are in the midst of theirs
            free = int(carry.halted.sum())
            tokens = (a[:free].astype(np.int64) for a in (arrays.inputs, arrays.labels))
            carry.refill(*map(torch.from_numpy, tokens), torch.zeros(free))
            losses = finish(
                train_segment(
                    network,
                    carry,
                    row_values,
                    generator,
                    slice_size=size,
                    learns_continue=learns_continue,
                )
            )
        grads = {name: param.grad for name, param in network.named_parameters()}
        found.append((grads, row_values.grad, losses, carry))
    (whole, rows, losses, carry), (sliced, sliced_rows, sliced_losses, sliced_carry) = found
    assert sum(grad is not None for grad in whole.values()) > 5
    for name, grad in whole.items():
        assert_near(sliced[name], grad, rtol=1e-4, atol=1e-6)
    assert_near(sliced_rows, rows, rtol=1e-4, atol=1e-6)
    for name in ("total", "lm", "q_halt", "q_continue"):
        assert_near(getattr(sliced_losses, name), getattr(losses, name), rtol=1e-6)
    for name in ("steps", "halted", "inputs", "labels", "rows"):
        assert torch.equal(getattr(sliced_carry, name), getattr(carry, name)), name
    assert_near(sliced_carry.z_H, carry.z_H, rtol=1e-5, atol=1e-5)


def test_a_run_in_slices_ends_with_the_weights_of_one_in_whole_batches(
    tmp_path: Path, tiny_config: MakeConfig, arrays: TrainingArrays
) -> None:
    config = tiny_config(num_rows=3, **ARCHITECTURES["hrm"])
    for name, size in (("whole", None), ("slices", 2)):
        start(tmp_path / name, config, arrays, replace(SETTINGS, slice_size=size)).train(ignore)
    whole, slices = (weights_in(tmp_path / name, 9) for name in ("whole", "slices"))
    for name, value in whole.items():
        assert_near(slices[name], value, atol=1e-4)


def test_a_run_may_go_on_in_slices_of_another_size(
    tmp_path: Path, tiny_config: MakeConfig, arrays: TrainingArrays
) -> None:
    config = tiny_config(num_rows=3, **ARCHITECTURES["hrm"])
    run = start(tmp_path, config, arrays)
    run.train(ignore, lambda: run.step == 2)
    run = start(tmp_path, config, arrays, replace(SETTINGS, slice_size=3))
    assert run.step == 2
    assert run.train(ignore)


def test_a_run_pauses_between_the_slices_of_a_step(
    tmp_path: Path, tiny_config: MakeConfig, arrays: TrainingArrays
) -> None:
    config = tiny_config(num_rows=3, **ARCHITECTURES["hrm"])
    run = start(tmp_path, config, arrays, replace(SETTINGS, num_steps=2, slice_size=2))
    assert [(turn.is_between_steps, run.step) for turn in run.turns()] == [
        *((False, 1), (False, 1), (True, 1)),
        *((False, 2), (False, 2), (True, 2)),
    ]


@pytest.mark.parametrize("slice_size", [4, 12])
def test_a_slice_size_that_does_not_divide_the_batch_is_refused(
    tmp_path: Path, tiny_config: MakeConfig, arrays: TrainingArrays, slice_size: int
) -> None:
    config = tiny_config(num_rows=3, **ARCHITECTURES["hrm"])
    with pytest.raises(TrainingError, match=f"of 6 cannot be cut into slices of {slice_size}"):
        start(tmp_path, config, arrays, replace(SETTINGS, slice_size=slice_size))


@pytest.mark.parametrize(
    ("num_steps", "max_seconds", "problem"),
    [
        (None, None, "neither steps nor seconds"),
        (0, None, "zero or infinite"),
        (None, 0.0, "zero or infinite"),
        (5, 0.0, "zero or infinite"),
        (-1, 5.0, "zero or infinite"),
        (None, math.inf, "zero or infinite"),
        (None, math.nan, "zero or infinite"),
    ],
)
def test_a_budget_that_is_nothing_or_has_no_end_is_refused(
    tmp_path: Path,
    tiny_config: MakeConfig,
    arrays: TrainingArrays,
    num_steps: int | None,
    max_seconds: float | None,
    problem: str,
) -> None:
    settings = replace(SETTINGS, num_steps=num_steps, max_seconds=max_seconds)
    with pytest.raises(TrainingError, match=problem):
        start(tmp_path, tiny_config(num_rows=3), arrays, settings)


def test_a_time_budget_ends_a_run_and_counts_on_over_a_restart(
    tmp_path: Path, tiny_config: MakeConfig, arrays: TrainingArrays
) -> None:
    config = tiny_config(num_rows=3, **ARCHITECTURES["hrm"])
    settings = replace(SETTINGS, num_steps=None, max_seconds=0.3, log_every=1)
    run = start(tmp_path, config, arrays, settings)
    assert not run.train(ignore, lambda: run.seconds > 0.1)
    num_steps, before_s = run.step, run.seconds
    assert 0.1 < before_s < 0.3

    run = start(tmp_path, config, arrays, settings)
    assert (run.step, run.seconds) == (num_steps, before_s)
    assert run.used_share == before_s / 0.3
    reports: list[TrainProgress] = []
    ends_s: list[float] = []
    for turn in run.turns():
        ends_s.append(run.seconds)
        if turn.progress is not None:
            reports.append(turn.progress)
    # It ended with the first step that went beyond.
    assert ends_s[-1] >= 0.3 > ends_s[-2]
    assert run.used_share == reports[-1].used_share == 1.0
    assert reports[-1].num_steps is None
    assert reports[-1].step == run.step > num_steps


def test_of_two_budgets_the_one_that_ends_first_ends_the_run(
    tmp_path: Path, tiny_config: MakeConfig, arrays: TrainingArrays
) -> None:
    config = tiny_config(num_rows=3, **ARCHITECTURES["hrm"])
    by_steps = replace(SETTINGS, num_steps=2, max_seconds=1e6)
    by_time = replace(SETTINGS, num_steps=10**6, max_seconds=1e-6)
    for name, settings, num_steps in (("steps", by_steps, 2), ("time", by_time, 1)):
        run = start(tmp_path / name, config, arrays, settings)
        assert run.train(ignore)
        assert run.step == num_steps, name


def test_the_rows_only_learn_for_their_share_of_the_budget(
    tmp_path: Path, tiny_config: MakeConfig, arrays: TrainingArrays
) -> None:
    config = tiny_config(num_rows=3, **ARCHITECTURES["hrm"])
    settings = replace(SETTINGS, num_steps=10, rows_only_share=0.4, ema_decay=0.5)
    run = start(tmp_path, config, arrays, settings)
    at_start = {name: value.clone() for name, value in run.network.state_dict().items()}
    changed_trunks, changed_averages, changed_rows = [], [], []
    for _ in run.turns():
        trunk, average = run.network.state_dict(), run.learned_trunk
        changed_trunks.append(any(not torch.equal(trunk[n], at_start[n]) for n in at_start))
        changed_averages.append(any(not torch.equal(average[n], at_start[n]) for n in at_start))
        changed_rows.append(bool(run.table[1:].any(dim=1).all()))
        assert not run.table[0].any()
    assert changed_trunks == changed_averages == [False] * 4 + [True] * 6
    assert changed_rows == [True] * 10


def test_a_trunk_that_learns_later_warms_up_when_it_begins_also_over_a_restart(
    tmp_path: Path, tiny_config: MakeConfig, arrays: TrainingArrays
) -> None:
    settings = replace(SETTINGS, num_steps=10, warmup_steps=4, rows_only_share=0.5, log_every=1)
    config = tiny_config(num_rows=3, **ARCHITECTURES["hrm"])
    rates: list[float] = []
    run = start(tmp_path, config, arrays, settings)
    run.train(lambda progress: rates.append(progress.lr), lambda: run.step == 7)
    again = start(tmp_path, config, arrays, settings)
    assert again.train(lambda progress: rates.append(progress.lr))
    shares = [rate / settings.lr for rate in rates[5:]]
    assert shares == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0])


def test_rows_that_only_learn_move_as_far_as_beside_a_trunk_that_learns(
    tmp_path: Path, tiny_config: MakeConfig, arrays: TrainingArrays
) -> None:
    # The gradients of the rows do not depend on whether the trunk takes any.
    config = tiny_config(num_rows=3, **ARCHITECTURES["hrm"])
    tables = []
    for name, share in (("isolated", 1.0), ("beside", 0.0)):
        run = start(tmp_path / name, config, arrays, replace(SETTINGS, rows_only_share=share))
        next(run.turns())
        tables.append(run.table)
    assert tables[0].any()
    assert torch.equal(tables[0], tables[1])


def test_without_q_continue_only_q_halt_halts(
    tmp_path: Path, tiny_config: MakeConfig, arrays: TrainingArrays
) -> None:
    config = tiny_config(num_rows=3, halt_exploration_prob=0.0, **ARCHITECTURES["hrm"])
    halted = {}
    for learns_continue in (True, False):
        settings = replace(SETTINGS, learns_continue=learns_continue, num_steps=1, log_every=1)
        run = start(tmp_path / str(learns_continue), config, arrays, settings)
        # Sure of the answer, and surer that going on is better still.
        bias = run.network.q_head.get_parameter("bias").data
        bias.copy_(torch.tensor([5.0, 9.0]))
        progress: list[TrainProgress] = []
        run.train(progress.append)
        halted[learns_continue] = progress[0].halted_share
        assert (progress[0].q_continue_loss > 0) == learns_continue
        assert progress[0].q_halt_loss > 0
    assert halted == {True: 0.0, False: 1.0}


@pytest.mark.parametrize("learns_continue", [True, False])
def test_q_continue_learns_only_where_it_is_learned(
    tmp_path: Path, tiny_config: MakeConfig, arrays: TrainingArrays, learns_continue: bool
) -> None:
    config = tiny_config(num_rows=3, **ARCHITECTURES["hrm"])
    run = start(tmp_path, config, arrays, replace(SETTINGS, learns_continue=learns_continue))
    bias = run.network.q_head.get_parameter("bias")
    bias.data.copy_(torch.tensor([5.0, 2.0]))  # less than the best that may come
    next(run.turns())
    of_halt, of_continue = run.optimiser.state[bias]["mean"].tolist()
    assert of_halt != 0
    assert (of_continue != 0) == learns_continue


def test_without_q_continue_a_sample_that_q_halt_doubts_goes_on_to_the_last_step(
    tmp_path: Path, tiny_config: MakeConfig, arrays: TrainingArrays
) -> None:
    config = tiny_config(num_rows=3, halt_exploration_prob=0.0, **ARCHITECTURES["hrm"])
    settings = replace(SETTINGS, learns_continue=False, num_steps=3, log_every=1, lr=1e-9)
    run = start(tmp_path, config, arrays, settings)
    # Going on is called worse still, which nobody asks.
    run.network.q_head.get_parameter("bias").data.copy_(torch.tensor([-5.0, -9.0]))
    progress: list[TrainProgress] = []
    run.train(progress.append)
    assert [report.halted_share for report in progress] == [0.0, 0.0, 1.0]


def test_a_run_from_a_start_takes_its_trunk_and_its_rows_but_for_the_blank_one(
    tmp_path: Path, tiny_config: MakeConfig, arrays: TrainingArrays
) -> None:
    config = tiny_config(num_rows=3, **ARCHITECTURES["hrm"])
    trunk = start(tmp_path, config, arrays, replace(SETTINGS, seed=5)).network.state_dict()
    row = torch.linspace(-1, 1, 16)
    run = Pretraining(
        *(tmp_path, config, [arrays], SETTINGS, {}),
        device=CPU,
        compile_step=False,
        start=Start(trunk, row, torch.tensor([2]), -row[None]),
    )
    for name, value in run.network.state_dict().items():
        assert torch.equal(value, trunk[name]), name
    assert run.average is not None
    for name, value in run.average.shadow.items():
        assert torch.equal(value, trunk[name]), name
    assert torch.equal(run.table, torch.stack([torch.zeros(16), row, -row]))


def test_other_examples_left_out_are_another_run(
    tmp_path: Path, tiny_config: MakeConfig, arrays: TrainingArrays
) -> None:
    config = tiny_config(num_rows=3, **ARCHITECTURES["hrm"])
    left_out = np.array([True, False, False] * 2)
    settings = replace(SETTINGS, num_steps=2)

    def leaving_out(which: np.ndarray) -> Pretraining:
        return Pretraining(
            *(tmp_path, config, [arrays], settings, {}),
            device=CPU,
            compile_step=False,
            left_out=[which],
        )

    run = leaving_out(left_out)
    run.train(ignore, lambda: run.step == 1)
    assert leaving_out(left_out).step == 1
    with pytest.raises(TrainingError, match="on other puzzles"):
        leaving_out(~left_out)


def test_a_run_that_goes_on_keeps_its_number_of_threads(
    tmp_path: Path, tiny_config: MakeConfig, arrays: TrainingArrays, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(pretrain, "count_cores", lambda: 8)
    config = tiny_config(num_rows=3, **ARCHITECTURES["hrm"])

    def start_with(num_threads: int | None) -> Pretraining:
        return Pretraining(
            *(tmp_path, config, [arrays], SETTINGS, {}),
            device=CPU,
            compile_step=False,
            num_threads=num_threads,
        )

    run = start_with(2)
    run.train(ignore, lambda: run.step == 1)
    assert torch.get_num_threads() == 2
    torch.set_num_threads(1)
    assert start_with(None).num_threads == 2
    assert start_with(1).num_threads == 1
    monkeypatch.setattr(pretrain, "count_cores", lambda: 1)
    assert start_with(None).num_threads == 1
    (tmp_path / SNAPSHOT_NAME).unlink()
    assert start_with(None).num_threads == 1  # by size
