"""Attention backends: one contract, and a clear word where one cannot serve."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from tolerances import assert_near

from hrm_core import AttentionError
from hrm_core.model import attention, attention_choice
from hrm_core.model.attention import FLASH_MODULES
from hrm_core.model.attention_choice import choose, load_backend

CPU = torch.device("cpu")
SHAPE = (2, 7, 3, 8)


def draw(dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(SHAPE, generator=generator).to(dtype) for _ in range(3))
    return q, k, v


@pytest.mark.parametrize("name", ["sdpa", "matmul", "blocked"])
def test_a_dense_backend_computes_softmax_attention_for_every_head(name: str) -> None:
    q, k, v = draw(torch.float64)
    out = load_backend(name)(q, k, v)
    assert out.shape == SHAPE
    for sample in range(SHAPE[0]):
        for head in range(SHAPE[2]):
            scores = q[sample, :, head] @ k[sample, :, head].T / SHAPE[3] ** 0.5
            expected = scores.softmax(-1) @ v[sample, :, head]
            assert_near(out[sample, :, head], expected, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("name", ["matmul", "blocked"])
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.bfloat16, 2e-2), (torch.float16, 5e-3)]
)
def test_products_equal_sdpa_to_rounding(name: str, dtype: torch.dtype, tolerance: float) -> None:
    q, k, v = draw(dtype)
    by_products, by_sdpa = load_backend(name)(q, k, v), load_backend("sdpa")(q, k, v)
    assert by_products.dtype == by_sdpa.dtype == dtype
    assert_near(by_products, by_sdpa, atol=tolerance)


def test_blocks_of_any_size_give_the_same_attention(monkeypatch: pytest.MonkeyPatch) -> None:
    q, k, v = draw(torch.float32)
    whole = load_backend("blocked")(q, k, v)
    for max_scores in (1, 2 * SHAPE[1] ** 2, 5 * SHAPE[1] ** 2):  # blocks of 1, 2 and 3 of 6 heads
        monkeypatch.setattr(attention, "MAX_SCORES", max_scores)
        assert_near(load_backend("blocked")(q, k, v), whole, atol=1e-6)


def test_matmul_and_sdpa_have_the_same_gradients() -> None:
    gradients = []
    for name in ("matmul", "sdpa"):
        leaves = [x.requires_grad_() for x in draw(torch.float32)]
        load_backend(name)(*leaves).square().sum().backward()
        gradients.append([leaf.grad for leaf in leaves])
    for by_matmul, by_sdpa in zip(*gradients, strict=True):
        assert_near(by_matmul, by_sdpa, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", ["flash9", "", "SDPA"])
def test_an_unknown_backend_is_refused_naming_the_known_ones(name: str) -> None:
    with pytest.raises(AttentionError, match="unknown attention backend") as caught:
        choose(name, SHAPE, CPU, torch.float32)
    assert "sdpa" in str(caught.value)
    assert "auto" in str(caught.value)


@pytest.mark.parametrize("name", FLASH_MODULES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_flash_backend_is_refused_on_the_cpu(name: str, dtype: torch.dtype) -> None:
    with pytest.raises(AttentionError, match="runs on CUDA in bfloat16 or float16 only"):
        choose(name, SHAPE, CPU, dtype)


@pytest.mark.parametrize("name", FLASH_MODULES)
def test_a_flash_backend_that_is_not_installed_names_the_module_it_needs(name: str) -> None:
    try:
        __import__(FLASH_MODULES[name])
    except ImportError:
        with pytest.raises(AttentionError, match=FLASH_MODULES[name]):
            load_backend(name)
    else:
        pytest.skip(f"{FLASH_MODULES[name]} is installed here")


@pytest.fixture
def measurements(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """Return what a choice measures, by backend."""
    found: dict[str, float] = {}
    measure = attention_choice._measure

    def noted(*arguments: Any) -> Any:
        found.update(measure(*arguments))
        return found

    monkeypatch.setattr(attention_choice, "_measure", noted)
    return found


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_auto_on_the_cpu_is_sdpa_unmeasured_where_calls_are_small(
    dtype: torch.dtype, measurements: dict[str, float]
) -> None:
    taken = choose("auto", SHAPE, CPU, dtype)
    assert not measurements
    assert taken.name == "sdpa"
    assert taken.attend is load_backend("sdpa")


@pytest.mark.parametrize("trains", [False, True])
def test_auto_on_the_cpu_is_the_fastest_that_was_measured(
    trains: bool, measurements: dict[str, float]
) -> None:
    taken = choose("auto", (4, 100, 4, 32), CPU, torch.float32, trains=trains)
    assert set(measurements) == {"sdpa", "matmul"} | (set() if trains else {"blocked"})
    assert measurements[taken.name] == min(measurements.values())


def test_scores_that_would_take_much_memory_are_not_made_all_at_once(
    measurements: dict[str, float],
) -> None:
    choose("auto", (64, 300, 4, 8), CPU, torch.float32)
    assert set(measurements) == {"sdpa", "blocked"}


def test_a_named_dense_backend_is_taken_as_asked() -> None:
    assert choose("matmul", SHAPE, CPU, torch.float32).attend is load_backend("matmul")


def fail_with(words: str) -> Callable[..., torch.Tensor]:
    def attend(*_: torch.Tensor) -> torch.Tensor:
        raise RuntimeError(words)

    return attend


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        ("no kernel image is available", AttentionError, "no kernel image is available"),
        ("CUDA out of memory", RuntimeError, "out of memory"),  # fewer slots are tried
    ],
)
def test_when_no_backend_runs_the_reason_is_given(
    words: str, error: type[Exception], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attention_choice, "available_backends", lambda *_: ("sdpa", "matmul"))
    monkeypatch.setattr(
        attention_choice, "DENSE_BACKENDS", dict.fromkeys(("sdpa", "matmul"), fail_with(words))
    )
    with pytest.raises(error, match=message):
        choose("auto", (4, 100, 4, 32), CPU, torch.float32)
