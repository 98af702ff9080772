"""Every command in the documents works as printed, from where the document says to stand."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import typer
from documented_commands import (
    ACTIVATION,
    ADDRESS,
    DOCUMENTS,
    PARSED_ONLY,
    ROOT,
    SERVE,
    Command,
    blocks,
    commands,
)

from bench.stack import free_port
from service.cli.main import load_command

LIMIT_S = 1800.0  # a busy machine trains slowly
FIRST = "hrm-arc solve examples/6150a2bd.json"
OUTPUT_OPTIONS = ("--out", "--image")
MADE = {"scored.json", "kaggle.json", "input/arc/arc-agi_test_challenges.json"}
FILE_SUFFIXES = (".json", ".png", ".py", ".sh", ".npz", ".yaml")
ALL = commands()
RUNNABLE = [command for command in ALL if not command.reasons]
BY_COMMAND_LINE = [command for command in ALL if command.words[:1] == ["hrm-arc"]]
BY_BENCH = [command for command in ALL if command.words[:3] == ["python", "-m", "bench"]]
PROGRAMS = [program for document in DOCUMENTS for program in blocks(document, "python")]
# Kept out of the repository by tests that write to it.
COPIED = ("checkpoints", "docs")
STANDS = "in the repository's folder", "in this folder"


def run_with_bash(text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command in a shell that has followed the README's installation."""
    return subprocess.run(
        ["bash", "-c", f"{ACTIVATION} && {text}"],
        cwd=folder,
        env={name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with all that the repository's has, where commands may leave files."""
    if not (Path(sys.prefix) / "bin" / "activate").is_file():
        pytest.skip("these tests run in no virtual environment that could be activated")
    folder = tmp_path_factory.mktemp("checkout")
    for path in ROOT.iterdir():
        if path.name in COPIED:
            shutil.copytree(path, folder / path.name)
        elif path.name not in (".venv", "runs"):
            (folder / path.name).symlink_to(path)
    (folder / ".venv").symlink_to(sys.prefix)
    return folder


@pytest.mark.parametrize("document", sorted({command.document for command in ALL}))
def test_every_document_says_where_to_stand(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    before = " ".join(text.partition("$ hrm-arc")[0].split())
    assert any(stand in before for stand in STANDS)


def test_the_first_command_works_as_printed(checkout: Path) -> None:
    texts = [re.sub(r"\s*#.*", "", command.text) for command in ALL]
    assert texts.index(ACTIVATION) < texts.index(FIRST)

    done = run_with_bash(FIRST, checkout)

    assert done.returncode == 0, done.stderr
    assert "right: attempt 1" in done.stdout


def test_what_is_not_run_has_one_reason_and_every_reason_a_command() -> None:
    assert [str(command) for command in ALL if len(command.reasons) > 1] == []
    used = {key for command in ALL for key in command.reasons}
    assert used == PARSED_ONLY.keys()
    placeholder = re.compile(r"\b(?!DELETE\b)[A-Z]{4,}\b")
    assert [str(command) for command in RUNNABLE if placeholder.search(command.text)] == []


@pytest.mark.parametrize("command", BY_COMMAND_LINE, ids=str)
def test_every_option_that_is_named_exists(command: Command) -> None:
    _program, name, *arguments = command.words
    load_command(name).make_context(name, list(arguments))


@pytest.mark.parametrize("command", BY_BENCH, ids=str)
def test_every_option_of_bench_that_is_named_exists(command: Command) -> None:
    from bench.commands import app

    arguments = command.words[3:]
    bench: Any = typer.main.get_command(app)
    name = arguments[0] if arguments and arguments[0] in bench.commands else ""
    (bench.commands[name] if name else bench).make_context("bench", arguments[bool(name) :])


@pytest.mark.parametrize("command", ALL, ids=str)
def test_every_file_that_is_named_exists(command: Command) -> None:
    folder = ROOT / "deploy" if command.document.startswith("deploy") else ROOT
    assert [str(path) for path in named_files(command.words) if not (folder / path).exists()] == []


@pytest.mark.parametrize("command", ALL, ids=str)
def test_every_command_is_whole(command: Command) -> None:
    assert "…" not in command.text
    if command.words[0] == "make":
        done = subprocess.run(
            ["make", "--dry-run", *command.words[1:]], cwd=ROOT, capture_output=True, check=False
        )
    else:
        done = subprocess.run(["bash", "-n", "-c", command.text], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def named_files(words: Sequence[str]) -> Iterator[Path]:
    """Return what a command reads: words that look like files, or like the repository's folders."""
    for before, word in zip(("", *words), words, strict=False):
        path = word.removeprefix("@")
        is_own = path.startswith(("checkpoints/", "examples/", "deploy/", "bench/"))
        is_file = path.endswith(FILE_SUFFIXES) and not re.search(r"[A-Z]{4,}|^https?:|^-", path)
        if (is_own or is_file) and before not in OUTPUT_OPTIONS and path not in MADE:
            yield Path(path)


@pytest.mark.full
def test_commands_that_need_no_service_work_as_printed(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HRM_ARC_STATE_FOLDER", str(tmp_path / "state"))
    monkeypatch.setenv("HRM_ARC_ADAPT_DEFAULT_S", "3")
    mine = [
        command
        for command in RUNNABLE
        if not (command.needs_service or command.serves or command.text == ACTIVATION)
    ]
    assert len(mine) >= 15
    for command in mine:
        done = run_with_bash(command.text, checkout)
        assert done.returncode == 0, f"{command}: {done.stderr}"
    assert (checkout / "answer.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads((checkout / "answer.json").read_bytes())["tests"]
    for submission in ("submission.json", "kaggle.json"):
        assert len(json.loads((checkout / submission).read_bytes())) == 3


@pytest.fixture
def url(checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Run `hrm-arc serve` as printed until the test ends; its port and state are variables'."""
    port = free_port()
    monkeypatch.setenv("HRM_ARC_PORT", str(port))
    monkeypatch.setenv("HRM_ARC_STATE_FOLDER", str(tmp_path / "state"))
    monkeypatch.setenv("HRM_ARC_ADAPT_DEFAULT_S", "3")
    process = subprocess.Popen(
        ["bash", "-c", f"{ACTIVATION} && exec {SERVE}"],
        cwd=checkout,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        assert any(line.startswith("Ready") for line in process.stdout)
        yield f"http://127.0.0.1:{port}"
        process.terminate()
        process.stdout.read()


@pytest.mark.full
@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_what_the_documents_ask_a_service_works_as_printed(url: str, checkout: Path) -> None:
    mine = [command for command in RUNNABLE if command.needs_service]
    assert len(mine) >= 20
    made = ""
    for command in mine:
        text = command.text.replace(ADDRESS, url).replace("/ID", f"/{made}")
        done = run_with_bash(text, checkout)
        assert done.returncode == 0, f"{command}: {done.stderr}"
        if "DELETE" not in text:  # a job that has ended cannot be cancelled any more
            assert problem_in(done.stdout) is None, f"{command}: {done.stdout}"
        found = re.search(r"^location: /v1/\w+/(\S+)", done.stdout, re.MULTILINE | re.IGNORECASE)
        made = found[1] if found else made
    assert made


@pytest.mark.full
def test_the_programs_work_as_printed(url: str, checkout: Path) -> None:
    printed = []
    for program in PROGRAMS:
        (checkout / "program.py").write_text(program.replace(ADDRESS, url), encoding="utf-8")
        done = run_with_bash("python program.py", checkout)
        assert done.returncode == 0, f"{program}: {done.stderr}"
        printed.append(done.stdout.strip())
    expected = [[0, 0, 4], [0, 8, 6], [5, 3, 6]]
    assert json.loads(printed[0]) == expected
    assert printed[1].startswith("succeeded")
    assert json.loads(printed[2].splitlines()[-1]) == expected


@pytest.mark.full
def test_other_services_start_as_printed(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HRM_ARC_STATE_FOLDER", str(tmp_path / "state"))
    if not (checkout / "runs" / "first").is_dir():
        pytest.skip("needs what the commands without a service make, in the test before")
    others = [command for command in RUNNABLE if command.serves and command.text != SERVE]
    assert len(others) >= 2
    for command in others:
        text = re.sub(r"(?<=--port )\d+", str(free_port()), command.text)
        process = subprocess.Popen(
            ["bash", "-c", f"{ACTIVATION} && exec {text}"],
            cwd=checkout,
            stdout=subprocess.PIPE,
            text=True,
        )
        with process:
            assert process.stdout is not None
            assert any(line.startswith("Ready") for line in process.stdout), str(command)
            process.terminate()
            process.stdout.read()


def test_the_body_that_is_shown_is_the_example_s() -> None:
    (body,) = [body for document in DOCUMENTS for body in blocks(document, "json")]
    assert body == (ROOT / "examples" / "task_with_options.json").read_text(encoding="utf-8")


def problem_in(answer: str) -> Any:
    """Return the problem document that an answer is, or None."""
    body = answer.rpartition("\r\n\r\n")[2]
    try:
        document = json.loads(body)
    except ValueError:
        return None
    is_problem = isinstance(document, dict) and isinstance(document.get("status"), int)
    return document if is_problem else None
