"""The command line's options, which are told without loading torch, and the engine's own lists."""

from pathlib import Path

import pytest

import hrm_core
from service.cli import engine_options
from service.cli.engine import make_engine
from service.runtime.engine_options import EngineOptions


def test_the_options_name_what_the_engine_has() -> None:
    assert engine_options.BACKEND_NAMES == hrm_core.BACKEND_NAMES
    assert engine_options.ARC_CANVAS == hrm_core.ARC_CANVAS
    assert {"act", "fixed"} == {rule.value for rule in hrm_core.Halting}


def test_a_number_of_threads_reaches_the_engine(
    tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    checkpoint = hrm_core.open_checkpoint(tiny_folder)

    for num_threads, expected in ((None, 1), (3, 3)):
        engine = make_engine(checkpoint, EngineOptions("cpu", num_threads=num_threads), 4)
        assert engine.num_threads == expected
