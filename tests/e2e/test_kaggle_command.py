"""`hrm-arc kaggle` in made-up inputs: both layouts, both kinds of run, killed and started again."""

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from challenge_files import BROKEN, UNKNOWN

from augment import Task, task_document
from service.submission.kaggle import RERUN_VARIABLE
from voting import read_submission

pytestmark = pytest.mark.full

LIMIT_S = 300.0  # a busy machine takes its time to import torch
NAME = "arc-agi_test_challenges.json"


@pytest.fixture
def attach(constant_tasks: tuple[Task, ...], tmp_path: Path) -> Callable[[str], Path]:
    """Return what makes an input with six tasks: four known, an unknown and a broken one."""

    def make(folder: str) -> Path:
        root = tmp_path / "input"
        (root / folder).mkdir(parents=True)
        document: dict[str, Any] = {"unknown": UNKNOWN, "broken": BROKEN}
        for task in constant_tasks:
            entry = task_document(task)
            tests = [{"input": test["input"]} for test in entry["test"]]
            document[task.puzzle.name] = {"train": entry["train"], "test": tests}
        (root / folder / NAME).write_text(json.dumps(document), encoding="utf-8")
        return root

    return make


@pytest.mark.parametrize(("folder", "rerun"), [("competitions/arc-prize", ""), ("arc-prize", "1")])
def test_a_submission_has_every_task_in_both_layouts_and_kinds_of_run(
    hrm_arc: Any,
    attach: Callable[[str], Path],
    constant_tasks: tuple[Task, ...],
    tiny_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    folder: str,
    rerun: str,
) -> None:
    monkeypatch.setenv(RERUN_VARIABLE, rerun)
    said = "scored run, " if rerun else "run that saves the notebook, in a short time, "
    out = tmp_path / "submission.json"
    done = hrm_arc(
        *("kaggle", "--input", attach(folder), "--out", out, "--started-at", time.time()),
        # What follows is of `submit`.
        *("--checkpoint", tiny_folder, "--adapt", "never", "--candidates", 3, "--slots", 4),
    )

    assert done.code == 0, done.err
    assert said in done.said
    minutes = float(done.said.split(said)[1].split()[0])
    assert 0 < minutes <= (705 if rerun else 9.5)
    found = read_submission(out)
    assert len(found) == 6
    for task in constant_tasks:
        assert [tried[0] for tried in found[task.puzzle.name]] == list(task.expected)
    assert "(unknown_puzzle), 1: unknown" in done.out
    assert "(invalid_task), 1: broken" in done.out

    merged = tmp_path / "merged.json"
    candidates = tmp_path / "submission.candidates.jsonl"
    once = hrm_arc("merge", candidates, "--out", merged, "--json")
    assert json.loads(once.out) == {
        "puzzles": 6,
        "test_inputs": 7,
        "unanswered": ["broken", "unknown"],
    }
    assert merged.read_bytes() == out.read_bytes()


def test_a_run_that_is_killed_continues_and_ends_when_it_would_have_ended(
    start_hrm_arc: Callable[..., "subprocess.Popen[str]"],
    hrm_arc: Any,
    attach: Callable[[str], Path],
    tiny_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(RERUN_VARIABLE, "1")
    out = tmp_path / "submission.json"
    command = (
        *("kaggle", "--input", attach("arc-prize"), "--out", out, "--minutes", 1),
        *("--checkpoint", tiny_folder, "--adapt-steps", 20, "--adapt-variants", 4),
    )
    process = start_hrm_arc(*command)
    deadline = time.monotonic() + LIMIT_S
    journal = tmp_path / "submission.journal.jsonl"
    while process.poll() is None and time.monotonic() < deadline and not journal.exists():
        time.sleep(0.05)
    process.kill()
    _, complaints = process.communicate()
    assert journal.exists(), complaints
    assert len(read_submission(out)) == 6  # valid from the first moment on
    began = json.loads((tmp_path / "submission.started.json").read_bytes())

    done = hrm_arc(*command)

    # However late it is by now: every task is answered, or listed with the reason.
    assert done.code == 0, done.err
    assert json.loads((tmp_path / "submission.started.json").read_bytes()) == began
    assert len(read_submission(out)) == 6
    report = json.loads((tmp_path / "submission.report.json").read_bytes())
    assert report["answered"] + len(report["unanswered"]) == report["puzzles"] == 6
    assert report["settings"]["until"] == pytest.approx(began["started_at"] + 57.0, abs=0.001)
    assert report["complete"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--no-such-option", 1), "No such option"),
        (("--slug",), "No such option"),
        (("--minutes", -1), "--minutes"),
        (("--competition", "other"), "no other/"),
    ],
)
def test_options_that_neither_command_has_are_refused(
    hrm_arc: Any,
    attach: Callable[[str], Path],
    tmp_path: Path,
    options: tuple[object, ...],
    said: str,
) -> None:
    out = tmp_path / "submission.json"
    done = hrm_arc("kaggle", "--input", attach("arc-prize"), "--out", out, *options)

    assert done.code == 2
    assert said in done.said


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--weight", 1), "--weight is there 1 times for 2 files"),
        (("--weight", 0, "--weight", 0), "give at least one above 0"),
        (("--candidates-out", "a.jsonl"), "a.jsonl is one of the files to merge"),
    ],
)
def test_a_merge_of_files_and_options_that_do_not_go_together_is_refused(
    hrm_arc: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[object, ...],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    done = hrm_arc("merge", "a.jsonl", "b.jsonl", "--out", "merged.json", *options)

    assert done.code == 2
    assert said in done.said
    assert list(tmp_path.iterdir()) == []
