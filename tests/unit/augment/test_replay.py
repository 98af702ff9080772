"""Replaying TRM's builder."""

import json
import shutil
from pathlib import Path

import pytest

from augment import TaskFileError, replay_trm

SUBSETS = ("training", "evaluation")


def golden_names(folder: Path) -> list[str]:
    names: list[str] = json.loads((folder / "replay-trm" / "identifiers.json").read_text())
    return names


def test_replay_gives_the_golden_names_in_order(golden_folder: Path) -> None:
    names = replay_trm(str(golden_folder / "replay-trm" / "arc"), SUBSETS, num_variants=40)
    assert names == golden_names(golden_folder)


def test_a_further_pass_of_the_builder_gives_the_golden_names(golden_folder: Path) -> None:
    folder = golden_folder / "replay-trm"
    golden = json.loads((folder / "evaluation-from-165.json").read_text())

    names = replay_trm(str(folder / "arc"), ("evaluation",), num_variants=40, first_row=165)

    assert names == golden
    assert names[:165] == ["<blank>"] * 165
    assert names != golden_names(golden_folder)  # each pass has the seed's whole stream


def test_order_of_subsets_and_seed_matter(golden_folder: Path) -> None:
    prefix = str(golden_folder / "replay-trm" / "arc")
    golden = golden_names(golden_folder)
    assert replay_trm(prefix, SUBSETS[::-1], num_variants=40) != golden
    assert replay_trm(prefix, SUBSETS, num_variants=40, seed=43) != golden


def test_each_task_has_its_bare_name_first(golden_folder: Path) -> None:
    names = replay_trm(str(golden_folder / "replay-trm" / "arc"), SUBSETS, num_variants=10)
    assert names[0] == "<blank>"
    assert len(names) == 1 + 8 * 11
    assert all("|||" not in name for name in names[1::11])


def test_subset_met_twice_adds_only_new_names(golden_folder: Path) -> None:
    prefix = str(golden_folder / "replay-trm" / "arc")
    names = replay_trm(prefix, ("training", "training"), num_variants=5)
    assert len(names) == len(set(names))
    assert names[:25] == replay_trm(prefix, ("training",), num_variants=5)


def test_progress_counts_tasks(golden_folder: Path) -> None:
    seen: list[tuple[int, int]] = []
    replay_trm(
        str(golden_folder / "replay-trm" / "arc"),
        SUBSETS,
        num_variants=2,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen == [(done, 8) for done in range(1, 9)]


def test_missing_solutions_count_as_one_black_cell(golden_folder: Path, tmp_path: Path) -> None:
    source = golden_folder / "replay-trm"
    challenges = json.loads((source / "arc_training_challenges.json").read_text())
    shutil.copy(source / "arc_training_challenges.json", tmp_path)
    without = replay_trm(str(tmp_path / "arc"), ("training",), num_variants=40)
    black = {name: [[[0]]] * len(task["test"]) for name, task in challenges.items()}
    (tmp_path / "arc_training_solutions.json").write_text(json.dumps(black))
    assert replay_trm(str(tmp_path / "arc"), ("training",), num_variants=40) == without


def test_symmetric_task_gives_up_after_five_tries_a_variant(tmp_path: Path) -> None:
    task = {"train": [{"input": [[1]], "output": [[1]]}], "test": [{"input": [[0]]}]}
    (tmp_path / "arc_a_challenges.json").write_text(json.dumps({"x": task}))
    names = replay_trm(str(tmp_path / "arc"), ("a",), num_variants=100)
    assert len(names) == 1 + 9
    assert len({name.split("|||")[2][1] for name in names[2:]}) == 8


def test_missing_challenges_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(TaskFileError, match=r"arc_none_challenges\.json: no such file"):
        replay_trm(str(tmp_path / "arc"), ("none",))
