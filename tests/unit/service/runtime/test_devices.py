"""Devices for workers: as given, or shared out among the workers of one state folder."""

from collections.abc import Callable
from pathlib import Path

import pytest

from service.runtime import devices
from service.runtime.devices import (
    UNUSABLE_CODE,
    count_gpus,
    isolate,
    list_devices,
    show_device,
    split_devices,
    taken_device,
)
from service.wire.errors import InputError, ServiceError, SettingsError


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


def test_an_option_names_one_device_a_list_or_all(gpus: Callable[[str], None]) -> None:
    assert split_devices("auto") == ("auto",)
    assert split_devices("cuda:1, cuda:0") == ("cuda:1", "cuda:0")
    assert split_devices("cpu,cpu") == ("cpu", "cpu")
    gpus("print(2)")
    assert split_devices("all") == ("cuda:0", "cuda:1")
    gpus("print(0)")
    assert split_devices("all") == ("cpu",)


@pytest.mark.parametrize("wanted", ["cpu,cuda:0", "auto,auto", "cuda:0,", "all,cuda:0"])
def test_a_list_has_devices_of_one_kind(wanted: str) -> None:
    with pytest.raises(InputError, match="devices of one kind"):
        split_devices(wanted)


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
def test_a_count_that_fails_is_reported(gpus: Callable[[str], None], program: str) -> None:
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


def test_a_gpu_that_torch_cannot_use_is_reported_in_its_own_sentence(
    gpus: Callable[[str], None],
) -> None:
    gpus(f"import sys; print('warning: old', file=sys.stderr); sys.exit({UNUSABLE_CODE})")
    with pytest.raises(SettingsError, match=r"^warning: old$"):
        list_devices("auto")


def test_counting_asks_torch_in_a_process_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "DRIVER_FILES", (tmp_path,))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert count_gpus() == 0


@pytest.mark.parametrize(
    ("device", "visible", "expected", "variables"),
    [
        ("cuda:3", None, "cuda:0", {"CUDA_VISIBLE_DEVICES": "3"}),
        ("cuda", None, "cuda:0", {"CUDA_VISIBLE_DEVICES": "0"}),
        ("cuda:1", "4, 6", "cuda:0", {"CUDA_VISIBLE_DEVICES": "6"}),
        ("cuda:1", "GPU-8932f937,GPU-77aa", "cuda:0", {"CUDA_VISIBLE_DEVICES": "GPU-77aa"}),
        ("cuda:2", "4,6", "cuda:2", {}),  # not there: refused where it is asked for
        ("cuda:0", "", "cuda:0", {}),
        ("cpu", "4,6", "cpu", {}),
        ("auto", None, "auto", {}),
        ("cuda:x", None, "cuda:x", {}),
    ],
)
def test_a_worker_sees_its_own_gpu_alone(
    device: str, visible: str | None, expected: str, variables: dict[str, str]
) -> None:
    environment = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
    assert isolate(device, environment) == (expected, variables)


def test_an_isolated_worker_names_its_gpu_among_those_of_the_host() -> None:
    for device in ("cuda:0", "cuda:3"):
        seen, variables = isolate(device, {})
        assert show_device(seen, variables) == device
    assert show_device("cuda:0", {}) == "cuda:0"
    assert show_device("cuda:0", {"CUDA_VISIBLE_DEVICES": "2,3"}) == "cuda:0"
    assert show_device("cpu", {"CUDA_VISIBLE_DEVICES": "2"}) == "cpu"
