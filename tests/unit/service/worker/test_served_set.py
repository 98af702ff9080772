"""Reloading: checkpoints are added, dropped and replaced while jobs run."""

import json
import shutil
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from augment import Puzzle
from bench.fake_engine import FailingEngine, FakeEngine
from service.wire.errors import SettingsError
from service.worker.messages import Failed, ReloadCheckpoints, StartJob, Succeeded

TIMEOUT_S = 60.0


class GatedEngine(FakeEngine):
    """Answers its self-test at once, and jobs when the gate is open."""

    gate = Event()

    def step(self) -> Any:
        is_test = any(job == "self-test" for job, _ in self._waiting)
        return super().step() if is_test or self.gate.wait(0.005) else []


@pytest.fixture(autouse=True)
def closed_gate() -> Iterator[None]:
    GatedEngine.gate.clear()
    yield
    GatedEngine.gate.set()


def wait_until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def reload(engines: Any, requested_at: float = 1.0) -> None:
    """Have the folders looked at again, and wait until that is done."""
    engines.send(ReloadCheckpoints(requested_at))
    wait_until(lambda: engines.loop.checkpoints.reloaded_at == requested_at)


@pytest.fixture
def copy_of(small_folder: Path, tmp_path: Path) -> Callable[[str], Path]:
    """Return what makes a folder with the small checkpoint under a name."""

    def make(name: str) -> Path:
        return Path(shutil.copytree(small_folder, tmp_path / name))

    return make


def give_other_names(folder: Path) -> None:
    """Make the checkpoint in a folder another one: its last row is of another variant."""
    path = folder / "identifiers.json"
    names = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps([*names[:-1], f"{names[-1]}x"]), encoding="utf-8")


def start(engines: Any, *jobs: Any) -> None:
    for job in jobs:
        engines.send(StartJob(job))


def test_a_new_checkpoint_is_served(
    engines_of: Callable[..., Any],
    job_of: Callable[..., Any],
    probes: tuple[Puzzle, ...],
    small_folder: Path,
    copy_of: Callable[[str], Path],
) -> None:
    engines = engines_of()
    before = engines.loop.checkpoints.served["small"]
    engines.folders = {"new": copy_of("new"), "small": small_folder}

    reload(engines)
    start(engines, job_of(probes[0], checkpoint="new"))

    assert list(engines.loop.checkpoints.served) == ["new", "small"]
    assert engines.loop.checkpoints.served["small"] is before  # not opened again
    assert isinstance(engines.ends(1)["job"], Succeeded)


def test_a_job_that_runs_on_a_dropped_checkpoint_finishes(
    engines_of: Callable[..., Any],
    job_of: Callable[..., Any],
    probes: tuple[Puzzle, ...],
    small_folder: Path,
    copy_of: Callable[[str], Path],
) -> None:
    folder = copy_of("gone")
    engines = engines_of(GatedEngine, folders={"small": small_folder, "gone": folder})
    start(engines, job_of(probes[0], "running", checkpoint="gone"))
    wait_until(lambda: "gone" in engines.pool.busy)
    shutil.rmtree(folder)
    engines.folders = {"small": small_folder}

    reload(engines)
    assert list(engines.loop.checkpoints.served) == ["small"]
    assert "gone" in engines.pool.busy
    start(engines, job_of(probes[0], "late", checkpoint="gone"))
    ends = engines.ends(1)
    GatedEngine.gate.set()
    ends |= engines.ends(1)

    assert isinstance(ends["late"], Failed)
    assert ends["late"].failure.code == "unknown_checkpoint"
    assert isinstance(ends["running"], Succeeded)
    assert json.loads(ends["running"].result)["checkpoint"] == "gone"
    wait_until(lambda: engines.pool.names == ("small",))
    assert not engines.pool.has_engine("gone")


def test_a_checkpoint_in_the_place_of_another_waits_for_the_jobs_of_that(
    engines_of: Callable[..., Any],
    job_of: Callable[..., Any],
    probes: tuple[Puzzle, ...],
    copy_of: Callable[[str], Path],
) -> None:
    folder = copy_of("only")
    engines = engines_of(GatedEngine, folders={"only": folder})
    old = engines.loop.checkpoints.served["only"].record.sha256
    start(engines, job_of(probes[0], "running"))
    wait_until(lambda: "only" in engines.pool.busy)
    give_other_names(folder)

    engines.send(ReloadCheckpoints(1.0))
    wait_until(lambda: engines.loop.checkpoints.pending)
    start(engines, job_of(probes[0], "late", variants=1))
    # Callers may go on to ask for it: they are answered by the one that is to come.
    assert engines.loop.checkpoints.served["only"].record.sha256 == old
    GatedEngine.gate.set()
    ends = engines.ends(2)

    new = engines.loop.checkpoints.served["only"].record.sha256
    assert new != old
    hashes = {name: json.loads(end.result)["checkpoint_sha256"] for name, end in ends.items()}
    assert hashes == {"running": old, "late": new}


def test_what_cannot_be_served_is_refused_and_the_rest_stays(
    engines_of: Callable[..., Any],
    job_of: Callable[..., Any],
    probes: tuple[Puzzle, ...],
    small_folder: Path,
    tmp_path: Path,
    copy_of: Callable[[str], Path],
) -> None:
    engines = engines_of()
    engines.folders = {"broken": tmp_path / "nothing", "small": small_folder}
    reload(engines)
    assert list(engines.loop.checkpoints.served) == ["small"]
    assert "no such folder" in engines.loop.checkpoints.refused["broken"]

    engines.folders["broken"] = copy_of("repaired")
    reload(engines, 2.0)
    start(engines, job_of(probes[0], checkpoint="broken"))

    assert engines.loop.checkpoints.refused == {}
    assert isinstance(engines.ends(1)["job"], Succeeded)


def test_without_usable_folders_everything_stays_as_it_is(
    engines_of: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    engines = engines_of()

    def find() -> dict[str, Path]:
        raise SettingsError("there is no folder")

    monkeypatch.setattr(engines.loop.checkpoints, "_find_folders", find)
    reload(engines)

    assert list(engines.loop.checkpoints.served) == ["small"]
    assert engines.loop.checkpoints.refused == {"HRM_ARC_CHECKPOINTS": "there is no folder"}


def test_jobs_go_on_while_a_checkpoint_is_tested(
    engines_of: Callable[..., Any],
    job_of: Callable[..., Any],
    probes: tuple[Puzzle, ...],
    small_folder: Path,
    copy_of: Callable[[str], Path],
) -> None:
    engines = engines_of()
    is_over = False

    class EndlessEngine(FakeEngine):
        """Is in its self-test until the jobs beside it have ended."""

        def step(self) -> Any:
            return super().step() if is_over else []

    copies = [copy_of("new"), copy_of("late")]
    engines.pool._make_engine = lambda checkpoint: (
        EndlessEngine if checkpoint.folder == copies[0] else FakeEngine
    )(checkpoint)
    engines.folders = {"small": small_folder, "new": copies[0], "late": copies[1]}
    engines.send(ReloadCheckpoints(1.0))
    wait_until(lambda: engines.pool.has_engine("new"))

    start(engines, *(job_of(probes[0], name, checkpoint="small") for name in "ab"))
    start(engines, *(job_of(probes[0], name, checkpoint=name) for name in ("new", "late")))
    ends = engines.ends(2)
    assert set(ends) == {"a", "b"}
    assert list(engines.loop.checkpoints.served) == ["small"]
    is_over = True

    ends |= engines.ends(2)
    assert all(isinstance(end, Succeeded) for end in ends.values())


def test_an_engine_that_fails_meanwhile_ends_the_loop_not_the_opening(
    engines_of: Callable[..., Any],
    job_of: Callable[..., Any],
    probes: tuple[Puzzle, ...],
    small_folder: Path,
    copy_of: Callable[[str], Path],
) -> None:
    engines = engines_of(partial(FailingEngine, 10**6))
    folder = copy_of("new")
    engines.folders = {"small": small_folder, "new": folder}

    class EndlessEngine(FakeEngine):
        def step(self) -> Any:
            return []

    engines.pool._make_engine = EndlessEngine
    engines.send(ReloadCheckpoints(1.0))
    wait_until(lambda: engines.pool.has_engine("new"))
    engines.made[0]._fail_after = 0
    start(engines, job_of(probes[0]))
    engines.wait_until_ended()

    assert isinstance(engines.loop.error, RuntimeError)
    assert "new" not in engines.loop.checkpoints.refused
