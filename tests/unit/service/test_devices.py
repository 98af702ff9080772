"""Devices for workers: as told, or shared out among the workers of one state folder."""

from collections.abc import Callable
from pathlib import Path

import pytest

from service import devices
from service.devices import count_gpus, list_devices, taken_device
from service.errors import ServiceError, SettingsError


@pytest.fixture
def gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Return what makes this machine have a driver, and torch answer with this program."""

    def have(program: str) -> None:
        driver = tmp_path / "driver"
        driver.touch()
        monkeypatch.setattr(devices, "DRIVER_FILES", (driver,))
        monkeypatch.setattr(devices, "_COUNT", program)

    return have


def test_a_device_that_was_named_gets_one_worker() -> None:
    assert list_devices("cuda:3") == ("cuda:3",)
    assert list_devices("cpu") == ("cpu",)


def test_every_gpu_gets_a_worker(gpus: Callable[[str], None]) -> None:
    gpus("print(3)")

    assert list_devices("auto") == ("cuda:0", "cuda:1", "cuda:2")


def test_without_gpus_there_is_one_worker_on_the_cpu(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(devices, "DRIVER_FILES", (tmp_path / "none",))
    monkeypatch.setattr(devices, "_COUNT", "raise SystemExit('asked in vain')")

    assert list_devices("auto") == ("cpu",)


@pytest.mark.parametrize("program", ["raise SystemExit(1)", "print('many')"])
def test_a_count_that_fails_is_told(gpus: Callable[[str], None], program: str) -> None:
    gpus(program)

    with pytest.raises(ServiceError, match="--device"):
        count_gpus()


def test_free_gpus_are_shared_out_and_come_back(
    gpus: Callable[[str], None], tmp_path: Path
) -> None:
    gpus("print(2)")

    with taken_device("free", tmp_path) as first:
        with taken_device("free", tmp_path) as second:
            assert (first, second) == ("cuda:0", "cuda:1")
            with pytest.raises(SettingsError, match="2 seen"), taken_device("free", tmp_path):
                pytest.fail("there was no third one")
        with taken_device("free", tmp_path) as again:
            assert again == "cuda:1"
    with taken_device("cuda:0", tmp_path) as named:
        assert named == "cuda:0"
