"""The command line's options, which are told without loading torch, and the engine's own lists."""

from pathlib import Path

import pytest

import hrm_core
from service.cli import engine_options
from service.cli.engine import make_engine


def test_the_options_name_what_the_engine_has() -> None:
    assert engine_options.BACKEND_NAMES == hrm_core.BACKEND_NAMES
    assert engine_options.ARC_CANVAS == hrm_core.ARC_CANVAS
    assert {"act", "fixed"} == {rule.value for rule in hrm_core.Halting}


def test_a_number_of_threads_reaches_the_engine(
    tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    checkpoint = hrm_core.open_checkpoint(tiny_folder)

    assert make_engine(checkpoint, device="cpu", num_samples=4).num_threads == 1
    assert make_engine(checkpoint, device="cpu", num_samples=4, num_threads=3).num_threads == 3
