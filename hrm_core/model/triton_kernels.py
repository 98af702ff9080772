"""Triton kernels: products with fused epilogues.

Each result is rounded to the inputs' dtype once, after the epilogue; the sums are float32.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

# Tiles (rows, columns, depth), warps and stages; the fastest is chosen at a kernel's first call.
TILES = ((64, 64, 32, 4, 3), (128, 64, 32, 4, 3), (128, 64, 64, 8, 3), (128, 128, 64, 8, 3))
# The columns of these two are given: a whole row of the state, and half a head.
NORM_TILES = ((32, 32, 4, 2), (32, 32, 8, 2), (64, 32, 8, 2), (64, 64, 8, 2))
ROTARY_TILES = ((64, 32, 4, 3), (128, 32, 4, 3), (128, 64, 4, 3), (128, 64, 8, 3))


@triton.jit
def swiglu_kernel(
    x,
    weight,
    out,
    M,
    N,
    K,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
):
    """out = silu(x gate^T) * (x up^T); x [M, K], weight [2 N, K] of gate and up, out [M, N]."""
    rows = (tl.program_id(1) * BLOCK_M + tl.arange(0, BLOCK_M)).to(tl.int64)
    columns = tl.program_id(0) * BLOCK_N + tl.arange(0, BLOCK_N)
    depth = tl.arange(0, BLOCK_K)
    is_row, is_column = rows[:, None] < M, columns[None, :] < N
    gate = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
    up = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
    for start in range(0, K, BLOCK_K):
        k = start + depth
        is_k = k < K
        a = tl.load(x + rows[:, None] * K + k[None, :], mask=is_row & is_k[None, :], other=0.0)
        at = weight + columns[None, :] * K + k[:, None]
        is_weight = is_column & is_k[:, None]
        gate = tl.dot(a, tl.load(at, mask=is_weight, other=0.0), gate, input_precision="ieee")
        up = tl.dot(a, tl.load(at + N * K, mask=is_weight, other=0.0), up, input_precision="ieee")
    result = gate * tl.sigmoid(gate) * up
    address = out + rows[:, None] * N + columns[None, :]
    tl.store(address, result.to(out.dtype.element_ty), mask=is_row & is_column)


@triton.jit
def norm_kernel(
    x,
    weight,
    residual,
    out,
    M,
    N,
    K,
    eps,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
):
    """out = rms_norm(residual + x weight^T); x [M, K], weight [N, K], others [M, N], N whole."""
    rows = (tl.program_id(0) * BLOCK_M + tl.arange(0, BLOCK_M)).to(tl.int64)
    columns = tl.arange(0, BLOCK_N)
    depth = tl.arange(0, BLOCK_K)
    is_row, is_column = rows[:, None] < M, columns[None, :] < N
    total = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
    for start in range(0, K, BLOCK_K):
        k = start + depth
        is_k = k < K
        a = tl.load(x + rows[:, None] * K + k[None, :], mask=is_row & is_k[None, :], other=0.0)
        at = weight + columns[None, :] * K + k[:, None]
        b = tl.load(at, mask=is_column & is_k[:, None], other=0.0)
        total = tl.dot(a, b, total, input_precision="ieee")
    offset = rows[:, None] * N + columns[None, :]
    is_inside = is_row & is_column
    total += tl.load(residual + offset, mask=is_inside, other=0.0).to(tl.float32)
    mean = tl.sum(total * total, axis=1) / N
    result = total * tl.rsqrt(mean + eps)[:, None]
    tl.store(out + offset, result.to(out.dtype.element_ty), mask=is_inside)


@triton.jit
def rotary_kernel(
    x,
    weight,
    cos,
    sin,
    out,
    M,
    K,
    num_positions,
    num_rotated,
    HALF: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_K: tl.constexpr,
):
    """out = x weight^T, its first heads rotated; x [M, K], weight and out in heads of 2 HALF."""
    head = tl.program_id(0)
    width = tl.num_programs(0) * 2 * HALF
    rows = (tl.program_id(1) * BLOCK_M + tl.arange(0, BLOCK_M)).to(tl.int64)
    half = tl.arange(0, HALF)
    columns = head * 2 * HALF + half
    depth = tl.arange(0, BLOCK_K)
    is_row = rows[:, None] < M
    first = tl.zeros((BLOCK_M, HALF), tl.float32)
    second = tl.zeros((BLOCK_M, HALF), tl.float32)
    for start in range(0, K, BLOCK_K):
        k = start + depth
        is_k = k < K
        a = tl.load(x + rows[:, None] * K + k[None, :], mask=is_row & is_k[None, :], other=0.0)
        at = weight + columns[None, :] * K + k[:, None]
        b = tl.load(at, mask=is_k[:, None], other=0.0)
        c = tl.load(at + HALF * K, mask=is_k[:, None], other=0.0)
        first = tl.dot(a, b, first, input_precision="ieee")
        second = tl.dot(a, c, second, input_precision="ieee")
    # Both halves of a table's row are the same.
    angle = (rows % num_positions)[:, None] * (2 * HALF) + half[None, :]
    is_rotated = is_row & ((columns < num_rotated * 2 * HALF)[None, :])
    c = tl.load(cos + angle, mask=is_rotated, other=1.0)
    s = tl.load(sin + angle, mask=is_rotated, other=0.0)
    address = out + rows[:, None] * width + columns[None, :]
    tl.store(address, (first * c - second * s).to(out.dtype.element_ty), mask=is_row)
    tl.store(address + HALF, (second * c + first * s).to(out.dtype.element_ty), mask=is_row)


def _configs(tiles, names):
    return [
        triton.Config(dict(zip(names, sizes, strict=True)), num_warps=warps, num_stages=stages)
        for *sizes, warps, stages in tiles
    ]


_SWIGLU = triton.autotune(_configs(TILES, ("BLOCK_M", "BLOCK_N", "BLOCK_K")), key=["N", "K"])(
    swiglu_kernel
)
_NORM = triton.autotune(_configs(NORM_TILES, ("BLOCK_M", "BLOCK_K")), key=["N", "K"])(norm_kernel)
_ROTARY = triton.autotune(_configs(ROTARY_TILES, ("BLOCK_M", "BLOCK_K")), key=["K"])(rotary_kernel)


def swiglu(x: Tensor, weight: Tensor) -> Tensor:
    """Multiply by gate and up, and join both.

    Shapes: x [..., K] contiguous; weight [2 N, K]; result [..., N].
    """
    width, size = weight.shape[0] // 2, weight.shape[1]
    num_rows = x.numel() // size
    out = torch.empty(*x.shape[:-1], width, dtype=x.dtype, device=x.device)

    def grid(meta):
        return triton.cdiv(width, meta["BLOCK_N"]), triton.cdiv(num_rows, meta["BLOCK_M"])

    _SWIGLU[grid](x, weight, out, num_rows, width, size)
    return out


def project_norm(x: Tensor, weight: Tensor, residual: Tensor, eps: float) -> Tensor:
    """Multiply, add the residual, and scale each row to unit root mean square.

    Shapes: x [..., K], residual and result [..., N], contiguous; weight [N, K].
    """
    size, depth = weight.shape
    num_rows = x.numel() // depth
    out = torch.empty_like(residual)

    def grid(meta):
        return (triton.cdiv(num_rows, meta["BLOCK_M"]),)

    whole = triton.next_power_of_2(size)
    _NORM[grid](x, weight, residual, out, num_rows, size, depth, eps, BLOCK_N=whole)
    return out


def qkv_rotary(x: Tensor, weight: Tensor, cos: Tensor, sin: Tensor, num_heads: int) -> Tensor:
    """Multiply to q, k and v, and apply the rotary encoding to the heads of q and k.

    Shapes: x [B, L, K] contiguous; weight [3 heads head_dim, K]; cos, sin [L, head_dim]; result
    [B, L, 3 heads, head_dim].
    """
    batch, length, size = x.shape
    head_dim = weight.shape[0] // (3 * num_heads)
    out = torch.empty(batch, length, 3 * num_heads, head_dim, dtype=x.dtype, device=x.device)

    def grid(meta):
        return 3 * num_heads, triton.cdiv(num_rows, meta["BLOCK_M"])

    num_rows, num_rotated = batch * length, 2 * num_heads
    _ROTARY[grid](x, weight, cos, sin, out, num_rows, size, length, num_rotated, HALF=head_dim // 2)
    return out
