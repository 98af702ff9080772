"""Training on crops: batches of one size, even visits, going on, and sizes that come in later."""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from augment import encode
from hrm_core import ModelConfig, Pretraining, TrainingArrays, TrainingError, TrainSettings
from hrm_core.errors import ConfigError

pytestmark = pytest.mark.usefixtures("one_thread")

MakeConfig = Callable[..., ModelConfig]
CPU = torch.device("cpu")
CANVAS = 5
NUM_ROWS = 10
TRM_NAME = "recursive_reasoning.trm@TinyRecursiveReasoningModel_ACTV1"
KINDS = {
    "hrm": {},
    "learned positions": {"pos_encodings": "learned"},
    "trm": {"name": TRM_NAME, "puzzle_emb_len": 2},
}
SETTINGS = TrainSettings(
    num_steps=14,
    batch_size=16,
    batch_tokens=200,
    lr=1e-3,
    warmup_steps=2,
    ema_decay=0.9,
    snapshot_s=1e9,
    log_every=7,
)


def arrays_of(side: int, rows: Sequence[int], num_examples: int, canvas: int) -> TrainingArrays:
    """Make a puzzle of one variant for each row, with grids of a size, on a canvas."""
    rng = np.random.default_rng(side)
    num = len(rows) * num_examples
    grids = rng.integers(0, 10, (num, side, side)).astype(np.uint8)
    laid = encode(list(grids), canvas).astype(np.uint8)
    return TrainingArrays(
        canvas=canvas,
        inputs=laid,
        labels=laid,
        room=np.full((num, 2), canvas - side, dtype=np.uint8),
        rows=np.array(rows),
        variant_starts=np.arange(len(rows) + 1) * num_examples,
        group_starts=np.arange(len(rows) + 1),
    )


@pytest.fixture(scope="module")
def arrays() -> list[TrainingArrays]:
    """Return many small puzzles, few of three by three, and one that needs the whole canvas."""
    return [
        arrays_of(2, [1, 3, 4, 5, 6, 9], 2, canvas=2),
        arrays_of(2, [2, 8], 4, canvas=3),
        arrays_of(5, [7], 3, canvas=CANVAS),
    ]


@pytest.fixture
def config(tiny_config: MakeConfig) -> ModelConfig:
    return crop_config(tiny_config)


def crop_config(tiny_config: MakeConfig, **arch: object) -> ModelConfig:
    fast = {"H_cycles": 1, "L_cycles": 1, "crop": True, "halt_exploration_prob": 0.5}
    return tiny_config(canvas=CANVAS, num_rows=NUM_ROWS, **{**fast, **arch})


def start(
    folder: Path,
    config: ModelConfig,
    arrays: Sequence[TrainingArrays],
    settings: TrainSettings = SETTINGS,
) -> Pretraining:
    run = Pretraining(folder, config, arrays, settings, {}, device=CPU, compile_step=False)
    if run.step == 0:
        # Every sample would halt, and half of them may not before a random step.
        run.network.q_head.get_parameter("bias").data.copy_(torch.tensor([9.0, -9.0]))
    return run


def ignore(progress: object) -> None:
    """Take no notice of progress."""


def trained(run: Pretraining, num_steps: int) -> list[int]:
    """Train some steps and return the side of each."""
    sides, turns = [], run.turns()
    for _ in range(num_steps):
        sides.append(run.lanes.next().side)
        next(turns)
    return sides


def weights_in(folder: Path, step: int = 14) -> dict[str, torch.Tensor]:
    weights: dict[str, torch.Tensor] = torch.load(folder / f"step_{step}", weights_only=True)
    return weights


def same_weights(one: Path, other: Path) -> bool:
    mine, theirs = weights_in(one), weights_in(other)
    return all(torch.equal(value, theirs[name]) for name, value in mine.items())


@pytest.mark.parametrize("name", KINDS)
def test_an_interrupted_run_on_crops_ends_with_the_very_weights_of_an_undisturbed_one(
    tmp_path: Path, tiny_config: MakeConfig, arrays: list[TrainingArrays], name: str
) -> None:
    config = crop_config(tiny_config, **KINDS[name])
    assert start(tmp_path / "whole", config, arrays).train(ignore)
    for stop_at in (2, 5, 9):
        run = start(tmp_path / "pieces", config, arrays)
        assert not run.train(ignore, lambda run=run, stop_at=stop_at: run.step == stop_at)
    assert start(tmp_path / "pieces", config, arrays).train(ignore)
    assert same_weights(tmp_path / "pieces", tmp_path / "whole")


def test_a_run_killed_in_the_midst_of_a_step_goes_on_from_its_snapshot(
    tmp_path: Path, config: ModelConfig, arrays: list[TrainingArrays]
) -> None:
    settings = replace(SETTINGS, slice_size=8)
    assert start(tmp_path / "whole", config, arrays, settings).train(ignore)
    run = start(tmp_path / "killed", config, arrays, settings)
    for turn in run.turns():
        if turn.is_between_steps and run.step == 6:
            run.save()
        if not turn.is_between_steps and run.step == 9:
            break
    again = start(tmp_path / "killed", config, arrays, settings)
    assert again.step == 6
    assert again.train(ignore)
    assert same_weights(tmp_path / "killed", tmp_path / "whole")


@pytest.mark.parametrize("name", KINDS)
def test_a_crop_to_the_whole_canvas_trains_as_the_whole_canvas_does(
    tmp_path: Path, tiny_config: MakeConfig, name: str
) -> None:
    arrays = [arrays_of(3, [1, 2, 3], 3, canvas=CANVAS)]
    settings = replace(SETTINGS, batch_size=8)
    for crop in (False, True):
        config = crop_config(tiny_config, **KINDS[name], crop=crop)
        start(tmp_path / str(crop), config, arrays, settings).train(ignore)
    assert same_weights(tmp_path / "True", tmp_path / "False")


def test_samples_fall_evenly_on_puzzles_of_every_size(
    tmp_path: Path, config: ModelConfig, arrays: list[TrainingArrays]
) -> None:
    run = start(tmp_path, config, arrays, replace(SETTINGS, num_steps=300))
    seated = count_seated(run)
    sides = Counter(trained(run, 300))

    num_examples = {int(row): num for part, num in zip(arrays, (2, 4, 3), strict=True)
                    for row in part.rows}  # fmt: skip
    visits = [seated[row] / num for row, num in num_examples.items()]
    # A batch is up to three rounds of a size's puzzles.
    assert max(visits) - min(visits) <= 4
    assert min(visits) > 50
    assert run.lanes.visits == pytest.approx(min(visits), abs=4)
    # Steps go by examples in a round over samples in a batch: 3 over 8, and 8 over 16.
    assert sides[CANVAS] / sides[3] == pytest.approx((3 / 8) / (8 / 16), rel=0.25)


def count_seated(run: Pretraining) -> Counter[int]:
    """Count the samples that begin from now on, by row."""
    seated: Counter[int] = Counter()

    def counting(take: Callable[[int], tuple[np.ndarray, ...]]) -> Callable[..., object]:
        def counted(num: int) -> tuple[np.ndarray, ...]:
            taken = take(num)
            seated.update(taken[2].tolist())
            return taken

        return counted

    for lane in run.lanes:
        lane.stream.take = counting(lane.stream.take)  # type: ignore[method-assign, assignment]
    return seated


def test_a_visit_is_over_when_its_samples_halt(
    tmp_path: Path, tiny_config: MakeConfig, arrays: list[TrainingArrays]
) -> None:
    config = crop_config(tiny_config, halt_exploration_prob=0.0)
    visits = {}
    for name, bias in (("sure", [9.0, -9.0]), ("unsure", [-9.0, 9.0])):
        run = start(tmp_path / name, config, arrays[:1], replace(SETTINGS, lr=1e-9))
        run.network.q_head.get_parameter("bias").data.copy_(torch.tensor(bias))
        trained(run, 6)
        visits[name] = run.lanes.visits
    # Sixteen samples of twelve in a round, in one segment or in three.
    assert visits == {"sure": pytest.approx(6 * 16 / 12), "unsure": pytest.approx(2 * 16 / 12)}


def test_two_runs_take_the_sizes_in_the_same_order(
    tmp_path: Path, config: ModelConfig, arrays: list[TrainingArrays]
) -> None:
    orders = [trained(start(tmp_path / name, config, arrays), 12) for name in ("one", "other")]
    assert orders[0] == orders[1]
    assert orders[0][:3] == [2, 3, CANVAS]


@pytest.mark.parametrize(
    ("batch_size", "batch_tokens", "sizes"),
    [
        (16, 200, [16, 16, 8]),  # 1 + 25 positions: seven would fit, a batch is of eight at least
        (64, 500, [64, 48, 16]),
        (64, 10**6, [64, 64, 64]),
        (3, 10, [3, 3, 3]),
    ],
)
def test_larger_sizes_come_in_smaller_batches(
    tmp_path: Path,
    config: ModelConfig,
    arrays: list[TrainingArrays],
    batch_size: int,
    batch_tokens: int,
    sizes: list[int],
) -> None:
    settings = replace(SETTINGS, batch_size=batch_size, batch_tokens=batch_tokens)
    run = start(tmp_path, config, arrays, settings)
    assert [lane.batch_size for lane in run.lanes] == sizes
    assert [lane.carry.inputs.shape for lane in run.lanes] == [
        (size, lane.side**2) for size, lane in zip(sizes, run.lanes, strict=True)
    ]


def test_without_crop_tokens_do_not_limit_a_batch(tmp_path: Path, tiny_config: MakeConfig) -> None:
    config = crop_config(tiny_config, crop=False)
    run = start(tmp_path, config, [arrays_of(3, [1], 3, canvas=CANVAS)])
    assert [lane.batch_size for lane in run.lanes] == [SETTINGS.batch_size]


def test_slices_are_the_same_part_of_every_batch(
    tmp_path: Path, config: ModelConfig, arrays: list[TrainingArrays]
) -> None:
    settings = replace(SETTINGS, batch_size=64, batch_tokens=500, slice_size=16)
    run = start(tmp_path, config, arrays, settings)
    assert [lane.slice_size for lane in run.lanes] == [16, 12, 4]
    turns = run.turns()
    assert [next(turns).is_between_steps for _ in range(12)] == [False, False, False, True] * 3


def test_the_log_has_the_right_share_of_each_size_trained(
    tmp_path: Path, config: ModelConfig, arrays: list[TrainingArrays]
) -> None:
    run = start(tmp_path, config, arrays)
    run.train(ignore)
    lines = (tmp_path / "training_log.jsonl").read_text(encoding="utf-8").splitlines()
    reports = [json.loads(line) for line in lines]
    assert [set(report["right_by_size"]) for report in reports] == [{"2", "3", str(CANVAS)}] * 2
    assert reports[1]["visits"] > reports[0]["visits"] > 0
    for report in reports:
        shares = report["right_by_size"].values()
        assert min(shares) <= report["right_share"] <= max(shares)


# Sizes that come in later.


def test_puzzles_above_the_largest_crop_keep_their_rows_for_later(
    tmp_path: Path, config: ModelConfig, arrays: list[TrainingArrays]
) -> None:
    small = replace(SETTINGS, max_crop=3)
    run = start(tmp_path, config, arrays, small)
    run.train(ignore, lambda: run.step == 8)
    assert [lane.side for lane in run.lanes] == [2, 3]
    assert not run.table[7].any()
    assert run.table[[1, 2, 3, 4, 5, 6, 8, 9]].any(dim=1).all()
    before = run.lanes.visits

    later = start(tmp_path, config, arrays)
    assert later.step == 8
    assert [lane.side for lane in later.lanes] == [2, 3, CANVAS]
    # The new size does not make up for what it missed, which would leave the others waiting.
    assert later.lanes.visits == before > 1
    seated = count_seated(later)
    assert set(trained(later, 6)) == {2, 3, CANVAS}
    assert later.table[7].any()
    assert seated[7] < later.step


def test_a_size_left_out_again_is_no_longer_trained(
    tmp_path: Path, config: ModelConfig, arrays: list[TrainingArrays]
) -> None:
    run = start(tmp_path, config, arrays)
    run.train(ignore, lambda: run.step == 4)
    again = start(tmp_path, config, arrays, replace(SETTINGS, max_crop=2))
    row = again.table[7].clone()
    assert set(trained(again, 5)) == {2}
    assert torch.equal(again.table[7], row)


def test_a_largest_crop_below_every_size_is_refused(
    tmp_path: Path, config: ModelConfig, arrays: list[TrainingArrays]
) -> None:
    with pytest.raises(TrainingError, match="no puzzle has a crop of at most 1: give at least 2"):
        start(tmp_path, config, arrays, replace(SETTINGS, max_crop=1))


# What is refused, and what older runs left.


@pytest.mark.parametrize(
    ("sides", "crop", "problem"),
    [
        ([2], False, "arrays of canvas 2, model of 5 without crop"),
        ([2, 5], False, "arrays of canvas 2, 5, model of 5 without crop"),
        ([2, 2], True, "arrays of canvas 2, 2, model of 5 with crop"),
        ([2, 6], True, "arrays of canvas 2, 6, model of 5 with crop"),
        ([], True, "model of 5 with crop"),
    ],
)
def test_sizes_that_do_not_fit_the_model_are_refused(
    tmp_path: Path, tiny_config: MakeConfig, sides: list[int], crop: bool, problem: str
) -> None:
    config = crop_config(tiny_config, crop=crop)
    with pytest.raises(TrainingError, match=problem):
        start(tmp_path, config, [arrays_of(2, [1], 2, canvas=side) for side in sides])


def test_a_network_of_mlp_t_cannot_be_cropped(tiny_config: MakeConfig) -> None:
    mlp_t = tiny_config(name=TRM_NAME, mlp_t=True)
    with pytest.raises(ConfigError, match=r"arch\.crop: a network with mlp_t"):
        replace(mlp_t, crop=True)


def test_a_snapshot_from_before_there_were_lanes_is_gone_on_from(
    tmp_path: Path, tiny_config: MakeConfig
) -> None:
    config = crop_config(tiny_config, crop=False)
    arrays = [arrays_of(3, [1, 2, 3], 3, canvas=CANVAS)]
    assert start(tmp_path / "whole", config, arrays).train(ignore)
    run = start(tmp_path / "older", config, arrays)
    run.train(ignore, lambda: run.step == 5)
    path = tmp_path / "older" / ".training_state.pt"
    state = torch.load(path, weights_only=True)
    (lane,) = state.pop("lanes").values()
    settings = json.loads(state["settings"])
    del settings["config"]["crop"], settings["settings"]["batch_tokens"]
    torch.save(
        state
        | {"carry": lane["carry"], "stream": lane["stream"], "settings": json.dumps(settings)},
        path,
    )

    assert start(tmp_path / "older", config, arrays).train(ignore)
    assert same_weights(tmp_path / "older", tmp_path / "whole")
