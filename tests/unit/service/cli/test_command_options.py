"""The command line's options, listed without loading torch, and the engine's own lists."""

import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import hrm_core
from bench.commands import app as bench
from service.cli import main, options
from service.cli.engine import make_engine
from service.runtime.devices import EngineOptions


def test_the_options_name_what_the_engine_has() -> None:
    assert options.BACKEND_NAMES == hrm_core.BACKEND_NAMES
    assert options.ARC_CANVAS == hrm_core.ARC_CANVAS
    assert {"act", "fixed"} == {rule.value for rule in hrm_core.Halting}


def test_a_number_of_threads_reaches_the_engine(
    tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    checkpoint = hrm_core.open_checkpoint(tiny_folder)

    for num_threads, expected in ((None, 1), (3, 3)):
        engine = make_engine(checkpoint, EngineOptions("cpu", num_threads=num_threads), 4)
        assert engine.num_threads == expected


@pytest.mark.parametrize("command", ["jobs list", "adapted list", "adapted remove --all"])
def test_a_key_without_a_service_is_refused(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["hrm-arc", *command.split(), "--api-key", "secret"])

    with pytest.raises(SystemExit) as ended:
        main()

    assert ended.value.code == 2
    assert "--api-key is for a service: give its --url too" in capsys.readouterr().err


def test_opening_is_not_measured_without_a_folder() -> None:
    done = CliRunner().invoke(bench, ["--part", "opening"])

    assert done.exit_code == 2
    assert "--part opening: give a folder" in done.output
