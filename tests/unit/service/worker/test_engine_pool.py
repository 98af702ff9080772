"""The pool of engines: which checkpoints have one, and which are open."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.fake_engine import FakeEngine
from hrm_core import DeviceMemoryError, open_checkpoint
from service.runtime.settings import Settings
from service.wire.errors import EnrolmentError, UnknownCheckpoint
from service.worker.engine_pool import EnginePool, engine_maker

Make = Callable[..., EnginePool]


@pytest.fixture
def pool_of(small_folder: Path) -> Make:
    """Return a maker of pools of the checkpoints a to d."""

    def make(max_resident: int, make_engine: Any = FakeEngine) -> EnginePool:
        return EnginePool(dict.fromkeys("abcd", small_folder), make_engine, max_resident)

    return make


def occupy(engine: Any) -> None:
    engine.add([None], job="job")


def release(engine: Any) -> None:
    engine.cancel("job", lambda sample_id: True)


class BusyEngine(FakeEngine):
    """A fake engine that is busy from `add` to `cancel`."""

    def add(self, samples: Any, **_: Any) -> None:
        self._waiting = list(samples)

    def cancel(self, job: Any, wanted: Any = None) -> int:
        self._waiting = []
        return 1


def test_an_engine_is_made_once(pool_of: Make) -> None:
    pool = pool_of(2)

    assert pool.acquire("a") is pool.acquire("a")


def test_the_least_recently_used_leaves(pool_of: Make) -> None:
    pool = pool_of(2)
    for name in ("a", "b", "a", "c"):
        pool.acquire(name)

    assert [pool.has_engine(name) for name in "abc"] == [True, False, True]


def test_a_busy_engine_stays(pool_of: Make) -> None:
    pool = pool_of(2, BusyEngine)
    occupy(pool.acquire("a"))
    pool.acquire("b")
    pool.acquire("c")

    assert [pool.has_engine(name) for name in "abc"] == [True, False, True]


def test_no_engine_is_made_while_all_are_busy(pool_of: Make) -> None:
    pool = pool_of(1, BusyEngine)
    occupy(pool.acquire("a"))

    assert pool.acquire("b") is None
    assert pool.has_engine("a")


def test_an_engine_that_is_to_leave_takes_no_new_work(pool_of: Make) -> None:
    pool = pool_of(1, BusyEngine)
    engine = pool.acquire("a")
    occupy(engine)
    pool.acquire("b")

    assert pool.acquire("a") is None
    release(engine)
    assert pool.acquire("b") is not None
    assert not pool.has_engine("a")


def test_an_engine_whose_room_is_no_longer_wanted_stays(pool_of: Make) -> None:
    pool = pool_of(1, BusyEngine)
    engine = pool.acquire("a")
    occupy(engine)
    pool.acquire("b")
    release(engine)

    assert pool.acquire("a") is engine
    occupy(engine)
    assert pool.acquire("a") is engine


def test_an_idle_engine_makes_room_where_memory_is_short(pool_of: Make) -> None:
    made: list[FakeEngine] = []

    def make(checkpoint: Any) -> Any:
        if made:
            made.clear()
            raise DeviceMemoryError("no memory")
        made.append(FakeEngine(checkpoint))
        return made[0]

    pool = pool_of(4, make)
    pool.acquire("a")

    assert pool.acquire("b") is not None
    assert not pool.has_engine("a")


def test_too_little_memory_for_one_is_an_error(pool_of: Make) -> None:
    def make(checkpoint: Any) -> Any:
        raise DeviceMemoryError("no memory")

    with pytest.raises(DeviceMemoryError):
        pool_of(4, make).acquire("a")


def test_only_checkpoints_given_are_served(pool_of: Make) -> None:
    with pytest.raises(UnknownCheckpoint, match="a, b, c, d"):
        pool_of(1).row_index("../../etc")


def test_a_withdrawn_checkpoint_is_unknown(pool_of: Make) -> None:
    pool = pool_of(1)
    pool.acquire("a")

    pool.withdraw("a")

    assert pool.names == ("b", "c", "d")
    with pytest.raises(UnknownCheckpoint):
        pool.row_index("a")


def test_few_checkpoints_are_kept_open(pool_of: Make) -> None:
    pool = pool_of(1)
    first = pool.row_index("a")
    assert pool.row_index("a") is first
    for name in "bcd":
        pool.row_index(name)

    assert pool.row_index("a") is not first


def test_a_folder_whose_checkpoint_was_replaced_is_refused(
    small_folder: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(small_folder, tmp_path / "a"))
    others = dict.fromkeys("bcd", small_folder)
    pool = EnginePool({"a": folder} | others, FakeEngine, 1)
    pool.row_index("a")
    settings = folder / "all_config.yaml"
    changed = settings.read_text(encoding="utf-8").replace("halt_max_steps: 8", "halt_max_steps: 9")
    settings.write_text(changed, encoding="utf-8")
    for name in others:
        pool.row_index(name)

    with pytest.raises(EnrolmentError, match="another checkpoint"):
        pool.row_index("a")


def test_an_adapted_checkpoint_has_an_engine_but_no_name_for_callers(
    pool_of: Make, small_folder: Path
) -> None:
    pool = pool_of(1)

    row_index = pool.add_adapted("a-0123", small_folder)

    engine = pool.acquire("a-0123")
    assert engine is not None
    assert engine.checkpoint is row_index.checkpoint
    assert "a-0123" not in pool.names
    with pytest.raises(UnknownCheckpoint, match="a, b, c, d"):
        pool.row_index("a-0123")


def test_a_removed_adapted_checkpoint_is_unknown_once_its_engine_is_idle(
    pool_of: Make, small_folder: Path
) -> None:
    pool = pool_of(2, BusyEngine)
    for name in ("busy", "idle"):
        pool.add_adapted(name, small_folder)
        pool.acquire(name)
    occupy(pool.acquire("busy"))

    for name in ("busy", "idle"):
        pool.remove_adapted(name)

    assert [pool.has_engine(name) for name in ("busy", "idle")] == [True, False]
    with pytest.raises(UnknownCheckpoint):
        pool.acquire("idle")


@pytest.mark.usefixtures("one_thread")
def test_engines_have_the_threads_and_slots_of_the_settings(
    small_folder: Path, tmp_path: Path
) -> None:
    settings = Settings(
        checkpoints=(small_folder,), state_folder=tmp_path, device="cpu", threads=3, slots=5
    )

    engine = engine_maker(settings, lambda sentence: None)(open_checkpoint(small_folder))

    assert (engine.num_threads, engine.num_slots) == (3, 5)
