"""Attention backends: torch's, our own, and FlashAttention where it is installed.

All are full attention behind one contract: `(q, k, v) -> out`, all [B, S, heads, head_dim].
"""

import importlib
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from hrm_core.errors import AttentionError

Attend = Callable[[Tensor, Tensor, Tensor], Tensor]

# Scores held at once, in numbers: they fit a core's cache, and are far below the sizes at which the
# allocator requests new pages from the system every time.
MAX_SCORES = 1 << 19


def sdpa(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attend through torch's fused kernels.

    Shapes: [B, S, heads, head_dim] in and out.
    """
    out = F.scaled_dot_product_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2))
    return out.transpose(1, 2)


def matmul(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attend with two matrix products and a softmax between them.

    For training on the CPU, where the fused kernel's bfloat16 backward is slow.

    Shapes: [B, S, heads, head_dim] in and out.
    """
    batch, length, num_heads, head_dim = q.shape
    # Heads join the batch: torch.compile recognises the four-dimensional form as attention and
    # puts the fused kernel back in.
    q, k, v = (x.transpose(1, 2).reshape(-1, length, head_dim) for x in (q, k, v))
    scores = torch.bmm(q * head_dim**-0.5, k.transpose(1, 2))
    out = torch.bmm(scores.softmax(dim=-1), v)
    return out.view(batch, num_heads, length, head_dim).transpose(1, 2)


# A custom operator, since torch.compile would unroll the loop. It is defined piece by piece, since
# `torch.library.custom_op` loads the compiler at its first call.
_NAME = "hrm_arc::attend_blocked"
torch.library.define(_NAME, "(Tensor q, Tensor k, Tensor v) -> Tensor")


def attend_blocked(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attend with two matrix products and a softmax for each block of heads; inference only.

    All blocks are of one size, so that a head is computed the same way at any position.

    Shapes: [B, S, heads, head_dim] in and out.
    """
    out: Tensor = torch.ops.hrm_arc.attend_blocked(q, k, v)
    return out


@torch.library.impl(_NAME, "CompositeExplicitAutograd")
def _attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    batch, length, num_heads, head_dim = q.shape
    num = batch * num_heads
    q, k, v = (x.transpose(1, 2).reshape(num, length, head_dim) for x in (q * head_dim**-0.5, k, v))
    keys = k.transpose(1, 2)
    out = torch.empty_like(q)
    size = _block_size(num, length)
    for start in range(0, num, size):
        block = slice(start, start + size)
        scores = torch.bmm(q[block], keys[block])
        torch.softmax(scores, dim=-1, out=scores)
        torch.bmm(scores, v[block], out=out[block])
    return out.view(batch, num_heads, length, head_dim).transpose(1, 2)


def _shape(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    batch, length, num_heads, head_dim = q.shape
    return q.new_empty(batch, num_heads, length, head_dim).transpose(1, 2)


torch.library.register_fake(_NAME, _shape)


def _block_size(num_heads: int, length: int) -> int:
    """Return the largest divisor of the number of heads that keeps their scores few enough."""
    limit = min(num_heads, max(1, MAX_SCORES // length**2))
    return next(size for size in range(limit, 0, -1) if num_heads % size == 0)


# Backend name -> module that holds `flash_attn_func`.
FLASH_MODULES = {
    "flash3": "flash_attn_interface",
    "flash3_fwd": "fa3_fwd_interface",
    "flash2": "flash_attn",
}


def load_flash(name: str) -> Attend:
    """Import one FlashAttention build and wrap it to the contract.

    Shapes: [B, S, heads, head_dim] in and out, bfloat16 or float16, on CUDA.

    Raises: AttentionError when the build cannot be imported.
    """
    try:
        kernel: Callable[..., Any] = importlib.import_module(FLASH_MODULES[name]).flash_attn_func
    except (ImportError, OSError, AttributeError) as error:  # OSError: built for another CUDA
        raise AttentionError(
            f"attention backend {name!r} needs the Python module {FLASH_MODULES[name]!r}, which "
            f"does not import here: {error}"
        ) from error

    def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        out = kernel(q, k, v)
        # Builds differ: some return the log-sum-exp with the output.
        result: Tensor = out[0] if isinstance(out, tuple) else out
        return result

    return attend
