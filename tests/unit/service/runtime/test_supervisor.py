"""What the supervisor gives the parts that it starts."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from service.runtime import supervisor
from service.runtime.settings import Settings
from service.runtime.supervisor import Supervisor


def test_each_worker_is_given_one_gpu_and_the_api_none(
    demo_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[tuple[str, Mapping[str, str]]] = []

    def start(command: Sequence[str], *, environment: Mapping[str, str]) -> Any:
        started.append((command[-1], environment))
        return SimpleNamespace(poll=lambda: 0)

    monkeypatch.setattr(supervisor, "start_tethered", start)
    monkeypatch.setattr(supervisor, "list_devices", lambda wanted: ("cuda:0", "cuda:1"))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,7")
    settings = Settings(redis_url="redis://localhost", checkpoints=(demo_folder,), port=0)

    Supervisor(settings, lambda sentence: None)._start()

    names = ("CUDA_VISIBLE_DEVICES", "HRM_ARC_DEVICE")
    found = [(command, *map(environment.get, names)) for command, environment in started]
    assert found == [
        ("api", "5,7", None),
        ("worker", "5", "cuda:0"),
        ("worker", "7", "cuda:0"),
    ]
