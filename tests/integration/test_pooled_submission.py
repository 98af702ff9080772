"""A challenges file answered by two processes, also with one killed: the bytes of one engine."""

import json
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from augment import read_arckit, task_document
from hrm_core import Engine
from service.cli.engine import open_engine
from service.cli.task_sources import read_challenge_set
from service.runtime.devices import EngineOptions
from service.solving.enrolment import RowIndex
from service.solving.pooled_engine import PooledEngine
from service.submission.files import Paths
from service.submission.local import submit_locally
from service.submission.session import SubmitConfig
from service.wire.options import SolveOptions

pytestmark = [pytest.mark.full, pytest.mark.usefixtures("one_thread")]

NUM_PUZZLES, MAX_SIDE = 5, 5


class Quiet:
    """Shows nothing."""

    def note(self, sentence: str) -> None: ...

    say = note

    def begin(self, run: Any, plan: Any) -> None: ...

    update = begin


@pytest.fixture
def challenges(arc1_folder: Path, tmp_path: Path) -> Path:
    """Return a challenges file of small puzzles that arc1 knows, of several sizes."""
    document = {}
    for task in read_arckit("arcagi", "train"):
        if task.puzzle.fits(MAX_SIDE) and len(document) < NUM_PUZZLES:
            entry = task_document(task)
            tests = [{"input": test["input"]} for test in entry["test"]]
            document[task.puzzle.name] = {"train": entry["train"], "test": tests}
    path = tmp_path / "challenges.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def submitted(challenges: Path, out: Path, folder: Path, device: str, *, kills: bool) -> Any:
    """Answer the file, and kill a process once there are answers; return what was written."""
    out.parent.mkdir()
    paths = Paths.of(out)
    config = SubmitConfig(
        paths,
        (str(folder),),
        SolveOptions(variants=16, adapt="never"),
        engine=EngineOptions(device, slots=8, num_threads=1),
    )
    engines: list[Engine] = []
    killed: list[int] = []

    def open_one(row_index: RowIndex, options: EngineOptions, num_samples: int) -> Engine:
        engines.append(open_engine(row_index, options, num_samples))
        return engines[-1]

    def kill_once() -> bool:
        for engine in engines if kills and not killed else ():
            assert isinstance(engine, PooledEngine)
            if b'"tests"' in paths.journal.read_bytes() and not engine.is_idle:
                killed.append(engine.process_ids[0])
                os.kill(killed[0], signal.SIGKILL)
        return False

    read = read_challenge_set(str(challenges), None)
    result = submit_locally(read, config, open_one, Quiet(), kill_once)
    assert len(killed) == kills
    assert result.report.is_complete
    votes = [puzzle.standing for puzzle in result.report.puzzles]
    return out.read_bytes(), [replace(one, num_rounds=0) for one in votes]


@pytest.mark.parametrize(
    "name", ["arc1_folder", pytest.param("small_folder", marks=pytest.mark.full)]
)
def test_two_processes_write_the_same_bytes_as_one_engine(
    request: pytest.FixtureRequest,
    challenges: Path,
    tmp_path: Path,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))
    folder = request.getfixturevalue(name)

    one = submitted(challenges, tmp_path / "one" / "s.json", folder, "cpu", kills=False)
    two = submitted(challenges, tmp_path / "two" / "s.json", folder, "cpu,cpu", kills=False)
    assert "left out" not in capsys.readouterr().err
    killed = submitted(challenges, tmp_path / "killed" / "s.json", folder, "cpu,cpu", kills=True)

    assert two == one
    assert killed == one
    assert len(json.loads(one[0])) == NUM_PUZZLES
    assert "cpu is left out (its process ended by signal 9)" in " ".join(
        capsys.readouterr().err.split()
    )
