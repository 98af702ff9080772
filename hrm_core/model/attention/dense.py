"""Attention backends that need nothing but torch."""

import torch
import torch.nn.functional as F
from torch import Tensor

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
