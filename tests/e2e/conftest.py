"""The program `hrm-arc` as tests run it: in this process for most, as a process for some."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from service.cli import main

PROGRAM = Path(sys.executable).with_name("hrm-arc")


@dataclass(frozen=True, slots=True)
class Finished:
    """What a run of the program left."""

    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        """The error stream in one line, without the frames that Typer draws."""
        return " ".join(self.err.replace("│", " ").split())


HrmArc = Callable[..., Finished]


@pytest.fixture
def hrm_arc(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, one_thread: None
) -> HrmArc:
    """Return what runs the program within this process, which saves importing torch each time."""

    def run(*arguments: object) -> Finished:
        monkeypatch.setattr(sys, "argv", ["hrm-arc", *map(str, arguments)])
        code: object = 0
        try:
            main()
        except SystemExit as exit_:
            code = exit_.code
        captured = capsys.readouterr()
        return Finished(0 if code is None else int(str(code)), captured.out, captured.err)

    return run


@pytest.fixture
def start_hrm_arc() -> Callable[..., subprocess.Popen[str]]:
    """Return what starts the program as a person would, without waiting for it."""

    def start(*arguments: object) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [str(PROGRAM), *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start
