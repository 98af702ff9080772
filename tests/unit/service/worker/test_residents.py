"""Which checkpoints have an engine."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.fake_engine import FakeEngine
from hrm_core import DeviceMemoryError
from service.wire.errors import EnrolmentError, UnknownCheckpoint
from service.worker.residents import Residents

Make = Callable[..., Residents]


@pytest.fixture
def residents_of(demo_folder: Path) -> Make:
    """Return a maker of residents: checkpoints a to d, so many places."""

    def make(max_resident: int, make_engine: Any = FakeEngine) -> Residents:
        return Residents(dict.fromkeys("abcd", demo_folder), make_engine, max_resident)

    return make


def occupy(engine: Any) -> None:
    engine.add([None], job="job")


def release(engine: Any) -> None:
    engine.cancel("job", lambda sample_id: True)


class BusyEngine(FakeEngine):
    """A fake engine whose business is a switch."""

    def add(self, samples: Any, **_: Any) -> None:
        self._waiting = list(samples)

    def cancel(self, job: Any, wanted: Any = None) -> int:
        self._waiting = []
        return 1


def test_an_engine_is_made_once(residents_of: Make) -> None:
    residents = residents_of(2)

    assert residents.seat("a") is residents.seat("a")


def test_the_least_recently_used_leaves(residents_of: Make) -> None:
    residents = residents_of(2)
    for name in ("a", "b", "a", "c"):
        residents.seat(name)

    assert [residents.is_resident(name) for name in "abc"] == [True, False, True]


def test_a_busy_engine_stays(residents_of: Make) -> None:
    residents = residents_of(2, BusyEngine)
    occupy(residents.seat("a"))
    residents.seat("b")
    residents.seat("c")

    assert [residents.is_resident(name) for name in "abc"] == [True, False, True]


def test_nobody_gets_in_while_all_are_busy(residents_of: Make) -> None:
    residents = residents_of(1, BusyEngine)
    occupy(residents.seat("a"))

    assert residents.seat("b") is None
    assert residents.is_resident("a")


def test_an_engine_whose_place_is_promised_takes_no_new_work(residents_of: Make) -> None:
    residents = residents_of(1, BusyEngine)
    engine = residents.seat("a")
    occupy(engine)
    residents.seat("b")

    assert residents.seat("a") is None
    release(engine)
    assert residents.seat("b") is not None
    assert not residents.is_resident("a")


def test_a_promise_nobody_claims_is_forgotten(residents_of: Make) -> None:
    residents = residents_of(1, BusyEngine)
    engine = residents.seat("a")
    occupy(engine)
    residents.seat("b")
    release(engine)

    assert residents.seat("a") is engine
    occupy(engine)
    assert residents.seat("a") is engine


def test_an_idle_engine_makes_room_where_memory_is_short(residents_of: Make) -> None:
    made: list[FakeEngine] = []

    def make(checkpoint: Any) -> Any:
        if made:
            made.clear()
            raise DeviceMemoryError("no memory")
        made.append(FakeEngine(checkpoint))
        return made[0]

    residents = residents_of(4, make)
    residents.seat("a")

    assert residents.seat("b") is not None
    assert not residents.is_resident("a")


def test_too_little_memory_for_one_is_an_error(residents_of: Make) -> None:
    def make(checkpoint: Any) -> Any:
        raise DeviceMemoryError("no memory")

    with pytest.raises(DeviceMemoryError):
        residents_of(4, make).seat("a")


def test_only_checkpoints_given_are_served(residents_of: Make) -> None:
    with pytest.raises(UnknownCheckpoint, match="a, b, c, d"):
        residents_of(1).registrar("../../etc")


def test_a_forgotten_checkpoint_is_unknown(residents_of: Make) -> None:
    residents = residents_of(1)
    residents.seat("a")

    residents.forget("a")

    assert residents.names == ("b", "c", "d")
    with pytest.raises(UnknownCheckpoint):
        residents.registrar("a")


def test_few_checkpoints_are_kept_open(residents_of: Make) -> None:
    residents = residents_of(1)
    first = residents.registrar("a")
    assert residents.registrar("a") is first
    for name in "bcd":
        residents.registrar(name)

    assert residents.registrar("a") is not first


def test_a_folder_that_holds_another_checkpoint_by_now_is_refused(
    demo_folder: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(demo_folder, tmp_path / "a"))
    others = dict.fromkeys("bcd", demo_folder)
    residents = Residents({"a": folder} | others, FakeEngine, 1)
    residents.registrar("a")
    settings = folder / "all_config.yaml"
    changed = settings.read_text(encoding="utf-8").replace("halt_max_steps: 8", "halt_max_steps: 9")
    settings.write_text(changed, encoding="utf-8")
    for name in others:
        residents.registrar(name)

    with pytest.raises(EnrolmentError, match="another checkpoint"):
        residents.registrar("a")
