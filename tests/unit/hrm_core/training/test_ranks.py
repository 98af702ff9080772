"""Ranks: processes that train together end as one that trains in slices, and decide as one."""

import json
from pathlib import Path

import pytest
import torch
from rank_runs import (
    NETWORKS,
    RECORD,
    STOPS_AT,
    adapt,
    drift_apart,
    ignore,
    keep_weights,
    run_out_of_memory,
    run_ranks,
    start,
    stop,
    train_all,
    train_for_a_time,
    weights_of,
)
from tolerances import assert_near

from hrm_core import (
    ONE_RANK,
    RankLostError,
    Ranks,
    TrainingError,
    has_ranks,
    join_group,
    join_ranks,
    snapshot_step,
)
from hrm_core.training.run_files import LOG_NAME

pytestmark = pytest.mark.usefixtures("one_thread")


def work_of_two(folder: Path, ranks: Ranks) -> None:
    train_all(folder, ranks)
    adapt(folder / "adapted", ranks)
    stop(folder / "stopped", ranks)
    train_for_a_time(folder / "timed", ranks)
    run_out_of_memory(folder / "halved", ranks)
    drift_apart(folder / "drifted", ranks)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return what two ranks left."""
    folder = tmp_path_factory.mktemp("two")
    run_ranks(work_of_two, 2, folder)
    return folder


@pytest.fixture(scope="module")
def sliced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return what one process leaves that trains each batch in two slices."""
    folder = tmp_path_factory.mktemp("sliced")
    train_all(folder, slice_size=6)
    adapt(folder / "adapted", slice_size=6)
    return folder


def assert_same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert torch.equal(value, other[name]), name


def read_log(folder: Path) -> list[dict[str, object]]:
    """Read the log of a run without what a clock measured."""
    lines = (folder / LOG_NAME).read_text(encoding="utf-8").splitlines()
    reports = [json.loads(line) for line in lines]
    return [{**report, "seconds": None, "steps_per_s": None} for report in reports]


@pytest.mark.parametrize("name", [*NETWORKS, "adapted"])
def test_two_ranks_end_with_the_very_weights_of_one_in_two_slices(
    two: Path, sliced: Path, name: str
) -> None:
    expected = weights_of(sliced / name)
    assert_same(weights_of(two / name), expected)
    assert_same(weights_of(two / name, rank=1), expected)
    # The first rank alone writes, what one process writes.
    assert read_log(two / name) == read_log(sliced / name)


def test_checks_are_divided_among_ranks_and_decide_the_same(two: Path, sliced: Path) -> None:
    found, expected = (
        json.loads((folder / "adapted" / RECORD).read_text(encoding="utf-8"))
        for folder in (two, sliced)
    )
    assert len(expected["checks"]) > 1
    for name in ("checks", "held_out_by_puzzle", "ended_by", "steps"):
        assert found[name] == expected[name]


def test_a_snapshot_of_two_ranks_is_gone_on_from_by_one(two: Path, sliced: Path) -> None:
    assert snapshot_step(two / "stopped") == STOPS_AT
    run = start(two / "stopped", slice_size=6)
    assert run.step == STOPS_AT
    assert run.train(ignore)
    keep_weights(run, two / "stopped", ONE_RANK)
    assert_same(weights_of(two / "stopped"), weights_of(sliced / "hrm"))


def test_the_first_rank_measures_the_time_of_all(two: Path) -> None:
    step = snapshot_step(two / "timed")
    assert step is not None
    assert step > 0
    assert_same(weights_of(two / "timed"), weights_of(two / "timed", rank=1))


def test_memory_that_runs_out_on_one_rank_halves_the_slices_of_all(two: Path, sliced: Path) -> None:
    assert_same(weights_of(two / "halved"), weights_of(two / "halved", rank=1))
    for name, value in weights_of(sliced / "hrm").items():
        assert_near(weights_of(two / "halved")[name], value, atol=1e-5)


def test_ranks_with_other_weights_end_the_run(two: Path) -> None:
    said = [(two / f"drifted_{rank}.txt").read_text() for rank in range(2)]
    assert said[0].startswith("rank 0 of 2 lost its connection to another rank (")
    assert said[0].endswith("). The same command continues from the last snapshot")
    assert said[1].startswith("rank 1 of 2 has other weights than rank 0")
    assert not (two / "drifted").exists()


def work_of_four(folder: Path, ranks: Ranks) -> None:
    train_all(folder, ranks)
    run = start(folder / "stopped", ranks)
    assert run.step == STOPS_AT
    assert run.train(ignore)
    keep_weights(run, folder / "stopped", ranks)


@pytest.mark.full
def test_four_ranks_agree_with_each_other_with_slices_and_with_a_snapshot_of_two(
    tmp_path: Path,
) -> None:
    run_ranks(stop_in_folder, 2, tmp_path)
    run_ranks(work_of_four, 4, tmp_path)
    train_all(tmp_path / "sliced", slice_size=3)
    for name in (*NETWORKS, "stopped"):
        expected = weights_of(tmp_path / name)
        for rank in (1, 2, 3):
            assert_same(weights_of(tmp_path / name, rank), expected)
    for name in NETWORKS:
        assert_same(weights_of(tmp_path / name), weights_of(tmp_path / "sliced" / name))
    for name, value in weights_of(tmp_path / "stopped").items():
        assert_near(value, weights_of(tmp_path / "hrm")[name], atol=1e-5)


def stop_in_folder(folder: Path, ranks: Ranks) -> None:
    stop(folder / "stopped", ranks)


def work_of_three(folder: Path, ranks: Ranks) -> None:
    crop = {"crop": True, "batch_tokens": 8 * 17}
    run = start(folder / "crop", ranks, **crop)
    # Batches of eight are divided in two: the third rank repeats the second part.
    assert [lane.batch_size for lane in run.lanes] == [8, 8]
    assert [lane.num_mine for lane in run.lanes] == [4, 4]
    assert run.train(ignore)
    keep_weights(run, folder / "crop", ranks)


@pytest.mark.full
def test_batches_that_cannot_be_divided_among_all_ranks_leave_some_idle(tmp_path: Path) -> None:
    run_ranks(work_of_three, 3, tmp_path)
    run = start(tmp_path / "sliced", crop=True, batch_tokens=8 * 17, slice_size=6)
    assert [lane.slice_size for lane in run.lanes] == [4, 4]
    assert run.train(ignore)
    keep_weights(run, tmp_path / "sliced", ONE_RANK)
    for rank in range(3):
        assert_same(weights_of(tmp_path / "crop", rank), weights_of(tmp_path / "sliced"))


def test_parts_of_a_batch_are_equal_and_cover_it() -> None:
    def parts(size: int, batch_size: int) -> list[tuple[int, int]]:
        found = [Ranks(rank, size).part_of(batch_size) for rank in range(size)]
        return [(part.start, part.stop) for part in found]

    assert parts(1, 6) == [(0, 6)]
    assert parts(3, 6) == [(0, 2), (2, 4), (4, 6)]
    assert parts(3, 8) == [(0, 4), (4, 8), (4, 8)]


def test_a_batch_that_ranks_cannot_divide_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="batches of 12 cannot be divided among 5 devices"):
        start(tmp_path, Ranks(0, 5))


def test_without_other_ranks_there_is_nothing_to_join(monkeypatch: pytest.MonkeyPatch) -> None:
    for world_size in (None, "", "1"):
        if world_size is None:
            monkeypatch.delenv("WORLD_SIZE", raising=False)
        else:
            monkeypatch.setenv("WORLD_SIZE", world_size)
        assert not has_ranks()
        assert join_ranks("auto") == (ONE_RANK, "auto")


def test_a_folder_without_a_snapshot_starts_over(tmp_path: Path) -> None:
    assert snapshot_step(tmp_path) is None
    start(tmp_path).save()
    assert snapshot_step(tmp_path) == 0
    (tmp_path / ".training_state.pt").write_bytes(b"damaged")
    assert snapshot_step(tmp_path) is None


def test_a_rank_does_not_wait_long_for_one_that_does_not_come(tmp_path: Path) -> None:
    with pytest.raises(RankLostError, match="the 2 ranks do not find each other: Wait timeout"):
        join_group(tmp_path / "store", 0, 2, "cpu", meet_s=0.2, timeout_s=5.0)


def test_a_rank_that_comes_too_late_does_not_wait(tmp_path: Path) -> None:
    with pytest.raises(RankLostError, match="No such file"):
        join_group(tmp_path / "gone" / "store", 1, 2, "cpu", meet_s=5.0, timeout_s=5.0)
