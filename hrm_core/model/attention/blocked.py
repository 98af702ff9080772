"""Attention by matrix products of a few heads at a time, whose scores stay in the cache."""

import torch
from torch import Tensor

# Scores held at once, in numbers: what a core's cache holds, and far below the sizes at which the
# allocator asks the system for fresh pages every time.
MAX_SCORES = 1 << 19


# An operator of its own: torch.compile would unroll the loop. Defined piece by piece, since
# `torch.library.custom_op` loads the compiler at its first call.
_NAME = "hrm_arc::attend_blocked"
torch.library.define(_NAME, "(Tensor q, Tensor k, Tensor v) -> Tensor")


def attend_blocked(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attend with two matrix products and a softmax for each block of heads; inference only.

    All blocks are of one size, so that a head is computed the same way wherever it stands.

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
    """Return the largest divisor of the number of heads whose scores are few enough."""
    most = min(num_heads, max(1, MAX_SCORES // length**2))
    return next(size for size in range(most, 0, -1) if num_heads % size == 0)
