"""The examples do what they say."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from augment import Task, task_document
from bench.stack import FAKE_WORKER, Service, running_service
from voting import parse_submission, read_submission

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"


def run(*command: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run an example as a reader would, from the repository's root."""
    return subprocess.run(
        [*map(str, command)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.fixture(scope="module")
def service(
    emptied_url: str, small_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    logs = tmp_path_factory.mktemp("logs")
    with running_service(emptied_url, small_folder, logs, worker=FAKE_WORKER) as running:
        yield running


def test_the_client_s_example_prints_an_answer(service: Service) -> None:
    task = EXAMPLES / "6150a2bd.json"
    done = run(sys.executable, EXAMPLES / "solve_with_client.py", task, service.url)

    assert done.returncode == 0, done.stderr
    assert "test input 1: " in done.stdout
    assert "% of them:" in done.stdout


def test_the_client_s_example_says_why_a_puzzle_is_refused(
    service: Service, tmp_path: Path
) -> None:
    task = tmp_path / "large.json"
    pair = {"input": [[1] * 7], "output": [[2]]}
    task.write_text(json.dumps({"train": [pair], "test": [pair]}), encoding="utf-8")
    done = run(sys.executable, EXAMPLES / "solve_with_client.py", task, service.url)

    assert done.returncode == 1
    assert "refused (canvas_exceeded)" in done.stderr


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl_s_example_prints_an_answer_and_a_submission(service: Service, tmp_path: Path) -> None:
    task = EXAMPLES / "6150a2bd.json"
    challenges = tmp_path / "challenges.json"
    entry = json.loads(task.read_bytes())
    document = {"a": {"train": entry["train"], "test": [{"input": entry["test"][0]["input"]}]}}
    challenges.write_text(json.dumps(document), encoding="utf-8")
    done = run("sh", EXAMPLES / "solve_with_curl.sh", task, service.url, challenges)

    assert done.returncode == 0, done.stderr
    answer, submission = (json.loads(line) for line in done.stdout.splitlines() if line)
    assert answer["state"] == "succeeded"
    assert list(parse_submission(submission)) == ["a"]
    assert "event: state" in done.stderr


def test_the_notebook_merges_two_checkpoints_without_network(
    constant_tasks: tuple[Task, ...], trained_folders: tuple[Path, Path], tmp_path: Path
) -> None:
    document = {task.puzzle.name: task_document(task) for task in constant_tasks}
    root = tmp_path / "kaggle"
    (root / "working").mkdir(parents=True)
    (root / "input" / "competitions" / "arc").mkdir(parents=True)
    challenges = root / "input" / "competitions" / "arc" / "arc-agi_test_challenges.json"
    challenges.write_text(json.dumps(document), encoding="utf-8")
    for folder in trained_folders:
        shutil.copytree(folder, root / "input" / folder.name)
    notebook = json.loads((EXAMPLES / "kaggle_arc_agi_2.ipynb").read_bytes())
    cells = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    program = "\n\n".join(cells).replace("/kaggle/", f"{root}/")
    nowhere = "http://127.0.0.1:9"
    done = run(sys.executable, "-c", program, HTTP_PROXY=nowhere, HTTPS_PROXY=nowhere)

    assert done.returncode == 0, done.stderr
    assert "exit codes: 0 0" in done.stdout
    found = read_submission(root / "working" / "submission.json")
    for task in constant_tasks:
        assert [tried[0] for tried in found[task.puzzle.name]] == list(task.expected)
    assert (root / "working" / "merged.candidates.jsonl").is_file()
