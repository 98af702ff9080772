"""Threads: as many as the work is worth and cores are free, unless someone chose a number."""

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch

from hrm_core import Engine, EngineConfig, Halting, Sample, open_checkpoint
from hrm_core.device import device
from hrm_core.device.device import WORK_PER_THREAD, count_free_cores, pick_threads

CPU, GPU = torch.device("cpu"), torch.device("cuda")
PUBLISHED_WORK = 901 * 27_000_000


@pytest.fixture(autouse=True)
def untouched(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Begin without a number in the environment, and leave torch as it was."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def look(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return what sets the cores there are, the processors allowed, and what looks will find."""

    def set_up(*found: list[float], num_cores: int = 2, allowed: tuple[int, ...] = (0, 1)) -> None:
        answers = iter(found)
        monkeypatch.setattr(device, "count_cores", lambda: num_cores)
        monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(allowed), raising=False)
        monkeypatch.setattr(psutil, "cpu_percent", lambda interval, percpu: next(answers))

    return set_up


def test_small_work_gets_one_thread_without_a_look(look: Callable[..., None]) -> None:
    look()  # nothing to find: a look would fail
    assert pick_threads(CPU, 0) == 1
    assert pick_threads(CPU, 2 * WORK_PER_THREAD - 1) == 1


@pytest.mark.parametrize(("free", "expected"), [(1, 1), (2, 2), (8, 3)])
def test_more_work_gets_what_it_is_worth_but_no_more_than_is_free(
    monkeypatch: pytest.MonkeyPatch, free: int, expected: int
) -> None:
    monkeypatch.setattr(device, "count_free_cores", lambda: free)
    assert pick_threads(CPU, 3 * WORK_PER_THREAD) == expected


def test_one_sample_of_the_published_network_uses_all_free_cores(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(device, "count_free_cores", lambda: 8)
    assert pick_threads(CPU, PUBLISHED_WORK) == 8


@pytest.mark.parametrize(
    ("variable", "option", "expected"),
    [
        ("3", None, 3),
        ("3", 5, 5),
        (None, 5, 5),
        ("4,2", None, 4),
        ("many", None, 1),
        ("0", None, 1),
    ],
)
def test_a_number_that_someone_chose_goes_first(
    monkeypatch: pytest.MonkeyPatch, variable: str | None, option: int | None, expected: int
) -> None:
    if variable is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", variable)
    assert pick_threads(CPU, 0, option) == expected


def test_on_a_gpu_torch_keeps_its_own_number() -> None:
    assert pick_threads(GPU, PUBLISHED_WORK) is None
    assert pick_threads(GPU, PUBLISHED_WORK, 3) == 3


def test_cores_that_others_keep_busy_are_not_free(look: Callable[..., None]) -> None:
    half = [50.0, 55.0]  # one busy process, which the system moves about
    look(half, half, half, half, half)
    assert count_free_cores() == 1
    full = [100.0, 100.0]
    look(full, full, full, full, full)
    assert count_free_cores() == 1


def test_a_short_burst_does_not_count(look: Callable[..., None]) -> None:
    look([100.0, 70.0], [100.0, 5.0], [4.0, 3.0])
    assert count_free_cores() == 2


def test_processors_that_are_not_ours_do_not_count(look: Callable[..., None]) -> None:
    look(*[[0.0, 0.0, 100.0, 0.0]] * 5, num_cores=2, allowed=(2, 3))
    assert count_free_cores() == 1
    look([0.0] * 64, num_cores=2, allowed=tuple(range(64)))  # a container's quota
    assert count_free_cores() == 2


def test_the_small_network_runs_on_one_thread(small_folder: Path) -> None:
    engine = Engine(open_checkpoint(small_folder), EngineConfig(CPU, num_slots=64))
    assert engine.num_threads == 1


def test_engines_in_one_thread_keep_their_own_numbers(
    small_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = open_checkpoint(small_folder)
    config = EngineConfig(CPU, num_slots=1)
    engines = [Engine(checkpoint, replace(config, num_threads=num)) for num in (1, 2)]
    seen = []
    for engine in engines:
        run = engine._run

        def watched(*arguments: object, run: object = run) -> object:
            seen.append(torch.get_num_threads())
            return run(*arguments)  # type: ignore[operator]

        monkeypatch.setattr(engine, "_run", watched)
        tokens = np.zeros(checkpoint.config.seq_len, dtype=np.int32)
        sample = Sample(0, tokens, checkpoint.rows.gather([1])[0])
        engine.add([sample], job=0, halting=Halting.FIXED, max_segments=2)
    for _ in range(2):
        for engine in engines:
            engine.step()
    assert seen == [1, 2, 1, 2]
