"""Devices: what is refused, and what is chosen for a GPU, as far as a machine without one shows."""

from pathlib import Path

import pytest
import torch

from hrm_core import EngineError, pick_device
from hrm_core.device import device
from hrm_core.device.device import default_precision

CUDA = torch.device("cuda")


@pytest.fixture
def old_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this machine have a GPU with a driver that is too old for torch."""
    driver = tmp_path / "version"
    driver.write_text(
        "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.14  Thu Feb 22\nGCC version: 12\n"
    )
    monkeypatch.setattr(device, "DRIVER_FILE", driver)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Let torch see two GPUs; returns the list of those made current."""
    made_current: list[int] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", made_current.append)
    return made_current


@pytest.mark.usefixtures("old_driver")
@pytest.mark.parametrize("name", ["auto", "cuda", "cuda:1"])
def test_a_driver_too_old_for_torch_is_refused_in_one_sentence(name: str) -> None:
    with pytest.raises(EngineError) as caught:
        pick_device(name)
    message = str(caught.value)
    for part in ("550.54.14", "CUDA 13.0", "580 or later", "--device cpu"):
        assert part in message
    assert "\n" not in message


@pytest.mark.usefixtures("old_driver")
def test_an_old_driver_is_no_matter_where_the_cpu_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert pick_device("cpu") == torch.device("cpu")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert pick_device("auto") == torch.device("cpu")


@pytest.mark.parametrize(("name", "current"), [("cuda:1", 1), ("cuda", 0), ("auto", 0)])
def test_the_chosen_gpu_becomes_the_current_one(name: str, current: int, gpus: list[int]) -> None:
    pick_device(name)
    assert gpus == [current]


@pytest.mark.parametrize(
    ("capability", "own", "expected"),
    [
        ((7, 0), "bfloat16", "float16"),
        ((7, 5), "bfloat16", "float16"),
        ((7, 5), "float32", "float32"),
        ((8, 0), "bfloat16", "bfloat16"),
        ((9, 0), "bfloat16", "bfloat16"),
    ],
)
def test_gpus_without_bfloat16_instructions_compute_in_float16(
    capability: tuple[int, int], own: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda where: capability)
    assert default_precision(own, CUDA) == expected


def test_the_cpu_keeps_a_checkpoint_s_own_precision() -> None:
    assert default_precision("bfloat16", torch.device("cpu")) == "bfloat16"
