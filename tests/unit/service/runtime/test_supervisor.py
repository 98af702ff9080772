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
    small_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[tuple[str, Mapping[str, str]]] = []

    def start(command: Sequence[str], *, environment: Mapping[str, str]) -> Any:
        started.append((command[-1], environment))
        return SimpleNamespace(poll=lambda: 0)

    monkeypatch.setattr(supervisor, "start_tethered", start)
    monkeypatch.setattr(supervisor, "list_devices", lambda wanted: ("cuda:0", "cuda:1"))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,7")
    settings = Settings(redis_url="redis://localhost", checkpoints=(small_folder,), port=0)

    Supervisor(settings, lambda sentence: None)._start()

    names = ("CUDA_VISIBLE_DEVICES", "HRM_ARC_DEVICE")
    found = [(command, *map(environment.get, names)) for command, environment in started]
    assert found == [
        ("api", "5,7", None),
        ("worker", "5", "cuda:0"),
        ("worker", "7", "cuda:0"),
    ]


@pytest.mark.parametrize(("pid", "is_said"), [(None, True), (7, False)])
def test_a_queue_that_another_service_uses_is_reported(
    pid: int | None,
    is_said: bool,
    small_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class FakeServer:
        def __init__(self, folder: Path) -> None:
            self.folder, self.url, self.pid = folder, "unix:///nowhere", pid

        def start(self) -> "FakeServer":
            return self

    monkeypatch.setattr(supervisor, "EmbeddedServer", FakeServer)
    monkeypatch.setattr(supervisor, "start_tethered", lambda *_args, **_options: None)
    monkeypatch.setattr(supervisor, "list_devices", lambda wanted: ("cpu",))
    said: list[str] = []

    settings = Settings(state_folder=tmp_path, checkpoints=(small_folder,), port=0)
    Supervisor(settings, said.append)._start()

    assert any("share one queue" in sentence for sentence in said) == is_said
