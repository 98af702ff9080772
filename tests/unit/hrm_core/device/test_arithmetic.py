"""Which precision and which products: what was asked for, or what measures fastest."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tolerances import assert_near

from hrm_core import Checkpoint, EngineError, ModelConfig, open_checkpoint
from hrm_core.device import arithmetic as module
from hrm_core.device.arithmetic import Arithmetic, choose_arithmetic
from hrm_core.device.measured import FILE_NAME, MeasuredChoices, describe_processor
from hrm_core.model.attention_choice import load_backend
from hrm_core.model.layers import has_onednn, onednn_linear, pack_weight, use_onednn
from hrm_core.model.network import build_network

CPU = torch.device("cpu")
UNKEPT = MeasuredChoices(None)


@pytest.fixture
def config(small_folder: Path) -> ModelConfig:
    return open_checkpoint(small_folder).config


@pytest.fixture
def pretend(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, float]], list[str]]:
    """Replace the measurement by given seconds, and list what was measured."""

    def give(seconds: dict[str, float]) -> list[str]:
        asked: list[str] = []

        def measure(names: Iterable[str], *_: object) -> dict[str, float]:
            asked.extend(names)
            return {name: seconds.get(name, 9.0) for name in asked}

        monkeypatch.setattr(module, "_measure", measure)
        return asked

    return give


Pretend = Callable[[dict[str, float]], list[str]]


def test_a_float32_checkpoint_is_computed_in_bfloat16_where_that_is_clearly_faster(
    config: ModelConfig, pretend: Pretend
) -> None:
    assert config.forward_dtype == "float32"
    pretend({"float32": 1.0, "bfloat16": 0.7})
    assert choose_arithmetic("auto", config, CPU, UNKEPT) == Arithmetic("bfloat16")
    pretend({"float32": 1.0, "bfloat16": 0.9})
    assert choose_arithmetic("auto", config, CPU, UNKEPT) == Arithmetic("float32")


@pytest.mark.parametrize("precision", [None, "float32"])
def test_a_precision_that_was_asked_for_stays(
    config: ModelConfig, pretend: Pretend, precision: str | None
) -> None:
    asked = pretend({"bfloat16": 0.1, "float32 onednn": 0.5})
    chosen = choose_arithmetic(precision, config, CPU, UNKEPT)
    assert chosen.precision == "float32"
    assert all(name.startswith("float32") for name in asked)


def test_half_precision_may_multiply_in_float32(config: ModelConfig, pretend: Pretend) -> None:
    pretend({"bfloat16": 1.0, "bfloat16 wide": 0.5})
    chosen = choose_arithmetic("bfloat16", config, CPU, UNKEPT)
    assert chosen == Arithmetic("bfloat16", is_wide=True)
    assert (chosen.dtype, chosen.attention_dtype) == (torch.bfloat16, torch.float32)


def test_a_gpu_and_a_narrow_network_are_not_measured(config: ModelConfig, pretend: Pretend) -> None:
    asked = pretend({})
    assert choose_arithmetic("auto", config, torch.device("cuda"), UNKEPT).precision == "float32"
    narrow = replace(config, hidden_size=32)
    assert choose_arithmetic("auto", narrow, CPU, UNKEPT) == Arithmetic("float32")
    assert asked == []


def test_an_unknown_precision_names_the_known_ones(config: ModelConfig) -> None:
    with pytest.raises(EngineError, match="use auto, float32, bfloat16 or float16"):
        choose_arithmetic("int8", config, CPU, UNKEPT)


@pytest.mark.parametrize("trains", [False, True])
def test_the_measurement_leaves_a_usable_choice(config: ModelConfig, trains: bool) -> None:
    before = torch.get_rng_state()
    chosen = choose_arithmetic("auto", config, CPU, UNKEPT, trains=trains)
    assert chosen.precision in ("float32", "bfloat16")
    assert torch.equal(torch.get_rng_state(), before)


def test_what_a_processor_cannot_multiply_is_left_out(
    config: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(block: object, x: torch.Tensor, trains: bool) -> float:
        if x.dtype == torch.bfloat16:
            raise RuntimeError("no such instructions")
        return 1.0

    monkeypatch.setattr(module, "_time", fail)
    assert choose_arithmetic("auto", config, CPU, UNKEPT).precision == "float32"


def test_products_that_cannot_be_prepared_are_not_chosen(
    config: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("bf16 path needs the cpu support avx512bw")

    monkeypatch.setattr(module, "use_onednn", fail)
    assert not choose_arithmetic("auto", config, CPU, UNKEPT).is_onednn


def test_a_measured_choice_is_kept_for_the_next_start(
    config: ModelConfig, pretend: Pretend, tmp_path: Path
) -> None:
    folder = tmp_path / "state" / "tuned"
    pretend({"bfloat16": 0.1})
    first = choose_arithmetic("auto", config, CPU, MeasuredChoices(folder))
    asked = pretend({"float32": 0.1})
    assert choose_arithmetic("auto", config, CPU, MeasuredChoices(folder)) == first
    assert asked == []
    assert describe_processor() in (folder / FILE_NAME).read_text(encoding="utf-8")
    # Other shapes and another use are other measurements.
    assert choose_arithmetic("auto", config, CPU, MeasuredChoices(folder), trains=True) != first
    wider = replace(config, hidden_size=256)
    assert choose_arithmetic("auto", wider, CPU, MeasuredChoices(folder)) != first


@pytest.mark.parametrize("content", ["", "[]", "{", '{"a": 1}'])
def test_a_damaged_file_of_choices_costs_a_measurement(tmp_path: Path, content: str) -> None:
    (tmp_path / FILE_NAME).write_text(content, encoding="utf-8")
    kept = MeasuredChoices(tmp_path)
    assert kept.choose("a", ["x", "y"], lambda: "x") == "x"
    assert kept.choose("a", ["x", "y"], lambda: "y") == "x"
    assert kept.choose("a", ["y", "z"], lambda: "y") == "y"


def test_a_folder_that_cannot_be_written_costs_a_measurement(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    kept = MeasuredChoices(tmp_path / "file")
    assert kept.choose("a", ["x"], lambda: "x") == "x"


needs_onednn = pytest.mark.skipif(not has_onednn(), reason="this torch has no oneDNN")


@needs_onednn
def test_onednn_multiplies_and_learns_as_torch_does() -> None:
    generator = torch.Generator().manual_seed(0)
    x, weight = torch.randn(3, 5, 8, generator=generator), torch.randn(6, 8, generator=generator)
    bias = torch.randn(6, generator=generator)
    expected = torch.nn.functional.linear(x, weight)
    assert_near(onednn_linear(x, pack_weight(weight)), expected, atol=1e-5)
    gradients = []
    for multiply in (onednn_linear, torch.nn.functional.linear):
        leaves = [leaf.clone().requires_grad_() for leaf in (x, weight, bias)]
        multiply(*leaves).square().sum().backward()
        gradients.append([leaf.grad for leaf in leaves])
    for found, expected in zip(*gradients, strict=True):
        assert_near(found, expected, rtol=1e-4, atol=1e-4)


@needs_onednn
def test_packing_leaves_out_the_q_head(small_folder: Path) -> None:
    checkpoint: Checkpoint = open_checkpoint(small_folder)
    network = build_network(checkpoint.config, load_backend("sdpa"), torch.float32)
    network.requires_grad_(False)
    use_onednn(network, packs=True)
    assert network.lm_head.weight.is_mkldnn
    assert not network.q_head.weight.is_mkldnn
