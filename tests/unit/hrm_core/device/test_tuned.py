"""The record of what was measured to be fastest: what it says, and who goes by it."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from hrm_core import Engine, EngineConfig, open_checkpoint
from hrm_core.device.device import name_device
from hrm_core.device.measured import Tuned, choose_slots, read_tuned, tuned_path, write_tuned
from hrm_core.engine import sizing
from hrm_core.model.config import ModelConfig

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")
TUNED = Tuned("float32", 4, source="bench tune", kernels=("swiglu", "norm"))


def test_the_smallest_number_of_slots_within_three_per_cent_is_chosen() -> None:
    assert choose_slots({4: 90.0, 8: 97.5, 16: 100.0, 32: 99.0}) == 8
    assert choose_slots({4: 50.0, 8: 96.0, 16: 100.0}) == 16
    assert choose_slots({4: 1.0}) == 4


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "new" / "record.json"
    write_tuned(path, TUNED, {"samples_per_s": {4: 1.5}})
    assert read_tuned(path, "float32") == TUNED
    assert read_tuned(path, "bfloat16") is None
    assert json.loads(path.read_text())["measured"] == {"samples_per_s": {"4": 1.5}}
    assert [path.name for path in path.parent.iterdir()] == ["record.json"]


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"tuned": {}}', '{"tuned": {"slots": 4}}', '{"tuned": null}']
)
def test_what_is_no_record_counts_as_none(tmp_path: Path, content: str) -> None:
    path = tmp_path / "record.json"
    path.write_text(content)
    assert read_tuned(path, "float32") is None
    assert read_tuned(tmp_path / "missing.json", "float32") is None


def test_device_torch_and_architecture_have_a_record_each(
    tmp_path: Path, tiny_config: Callable[..., ModelConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny_config()
    first = tuned_path(tmp_path, CPU, config)
    assert first.suffix == ".json"
    assert first == tuned_path(tmp_path, CPU, tiny_config(num_rows=99))
    others = {
        tuned_path(tmp_path, CPU, tiny_config(**of)) for of in ({"L_cycles": 3}, {"canvas": 5})
    }
    monkeypatch.setattr(torch, "__version__", "9.9.9")
    others.add(tuned_path(tmp_path, CPU, config))
    monkeypatch.undo()
    monkeypatch.setattr(torch, "get_num_threads", lambda: 77)
    others.add(tuned_path(tmp_path, CPU, config))
    assert "77" in name_device(CPU)
    assert len(others | {first}) == 5


def test_the_engine_takes_the_recorded_number_of_slots(
    tmp_path: Path, make_checkpoint: Callable[..., Path]
) -> None:
    checkpoint = open_checkpoint(make_checkpoint())
    write_tuned(tuned_path(tmp_path, CPU, checkpoint.config), TUNED, {})

    def slots(**of: object) -> int:
        return Engine(checkpoint, EngineConfig(CPU, tuned_folder=tmp_path, **of)).num_slots  # type: ignore[arg-type]

    assert slots() == 4
    assert slots(max_slots=3) == 3
    assert slots(num_slots=7) == 7
    assert slots(precision="bfloat16") > 4  # of which nothing is recorded


def test_without_a_record_a_gpu_s_slots_are_measured_once(
    tmp_path: Path, make_checkpoint: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = open_checkpoint(make_checkpoint())
    measured: list[list[int]] = []

    def rates(network: object, run: object, counts: list[int], device: object) -> dict[int, float]:
        measured.append(counts)
        return {count: min(count, 16.0) for count in counts}

    monkeypatch.setattr(sizing, "MEASURED_TYPES", ("cpu",))
    monkeypatch.setattr(sizing, "measure_rates", rates)
    for _ in range(2):
        found = Engine(checkpoint, EngineConfig(CPU, tuned_folder=tmp_path)).num_slots
        assert found == 16
    assert len(measured) == 1
    assert max(measured[0]) > 16
