"""Backends that need nothing but torch."""

import torch
import torch.nn.functional as F
from torch import Tensor


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
