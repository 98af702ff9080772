"""Products of a block: by the library, with compiled or fused epilogues, and in fp8."""

import importlib.util
from collections.abc import Iterator
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.clock import Call, time_call
from bench.model import relative_error
from bench.tune.plan import Plan, Row, failed
from hrm_core import ModelConfig, can_compile
from hrm_core.device.device import compiled
from hrm_core.model.layers import rms_norm, rotary_tables, rotate, swiglu_width

ROUNDS = {"cpu": 3, "cuda": 20}
SAMPLES = {"cpu": 2, "cuda": 32}
# Rows of a normed state are bounded by the root of the hidden size, 22.6 for 512; times 16 that
# fits e4m3, with its largest number 448, for any values.
FP8_SCALE = 16.0


def measure_products(plan: Plan) -> Iterator[Row]:
    """Time each product of a block: bare, with its epilogue, and compiled or fused with it."""
    device, checkpoint = plan.where(), plan.open()
    dtype = plan.dtype_of(checkpoint)
    for name, flops, product, epilogue, fused in _cases(checkpoint.config, device, dtype):
        ways: dict[str, Call] = {"product": product, "plain": epilogue}
        if can_compile(device):
            ways["compiled"] = compiled(epilogue)
        if device.type == "cuda" and importlib.util.find_spec("triton") is not None:
            ways["fused"] = fused
        for way, call in ways.items():
            yield _time(device, {"product": name, "way": way}, flops, call)


def measure_fp8(plan: Plan) -> Iterator[Row]:
    """Time gate and up in fp8 with a static scale, and measure the error of the results."""
    device, checkpoint = plan.where(), plan.open()
    if device.type != "cuda" or torch.cuda.get_device_capability(device) < (8, 9):
        yield {"skipped": "fp8 products need a GPU of compute capability 8.9 or later"}
        return
    config = checkpoint.config
    rows = SAMPLES["cuda"] * config.num_positions
    rows -= rows % 16
    size, width = config.hidden_size, swiglu_width(config.hidden_size, config.expansion)
    x = rms_norm(torch.randn(rows, size, device=device), config.rms_norm_eps).bfloat16()
    weight = (torch.randn(2 * width, size, device=device) * size**-0.5).bfloat16()
    weight_scale = weight.abs().max().float() / 448.0
    weight8 = (weight.float() / weight_scale).to(torch.float8_e4m3fn).t()
    x_scale = torch.tensor(1.0 / FP8_SCALE, device=device)

    def product() -> Tensor:
        x8 = (x * FP8_SCALE).to(torch.float8_e4m3fn)
        return torch._scaled_mm(
            x8, weight8, scale_a=x_scale, scale_b=weight_scale, out_dtype=torch.bfloat16
        )

    exact = F.linear(x.float(), weight.float())
    flops = 2 * rows * size * 2 * width
    row: Row = {"product": "gate and up", "relative_error": relative_error(product(), exact)}
    yield _time(device, row | {"way": "fp8"}, flops, product)
    yield _time(device, row | {"way": "fp8, compiled"}, flops, compiled(product))


def _time(device: torch.device, row: Row, flops: float, call: Call) -> Row:
    with torch.inference_mode():
        try:
            times = time_call(call, ROUNDS[device.type], device)
        except RuntimeError as problem:
            return row | failed(problem)
    return row | {"seconds": times.median_s, "tflops": 1e-12 * flops / times.median_s}


def _cases(
    config: ModelConfig, device: torch.device, dtype: torch.dtype
) -> Iterator[tuple[str, float, Call, Call, Call]]:
    """Yield name, operations, the bare product, it with its epilogue, and both in one kernel."""
    size, width = config.hidden_size, swiglu_width(config.hidden_size, config.expansion)
    batch, length = SAMPLES[device.type], config.num_positions

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, device=device).to(dtype)

    x, wide = draw(batch, length, size), draw(batch, length, width)
    gate_up, down, qkv = draw(2 * width, size), draw(size, width), draw(3 * size, size)
    cos_sin = rotary_tables(length, config.head_dim, config.rope_theta, device)

    def swiglu() -> Tensor:
        gate, up = F.linear(x, gate_up).chunk(2, dim=-1)
        return F.silu(gate) * up

    def normed() -> Tensor:
        return rms_norm(x + F.linear(wide, down), config.rms_norm_eps)

    def rotated() -> tuple[Tensor, Tensor, Tensor]:
        heads = F.linear(x, qkv).view(batch, length, 3 * config.num_heads, -1)
        q, k, v = heads.chunk(3, dim=2)
        return rotate(q, cos_sin), rotate(k, cos_sin), v

    def fused(name: str, *arguments: object) -> object:
        from hrm_core.model import triton_kernels as kernels

        return getattr(kernels, name)(*arguments)

    rows = 2.0 * batch * length
    yield (
        "gate and up, SwiGLU",
        rows * size * 2 * width,
        partial(F.linear, x, gate_up),
        swiglu,
        partial(fused, "swiglu", x, gate_up),
    )
    yield (
        "down, residual and norm",
        rows * width * size,
        partial(F.linear, wide, down),
        normed,
        partial(fused, "project_norm", wide, down, x, config.rms_norm_eps),
    )
    yield (
        "q, k, v, rotary",
        rows * size * 3 * size,
        partial(F.linear, x, qkv),
        rotated,
        partial(fused, "qkv_rotary", x, qkv, *cos_sin, config.num_heads),
    )
