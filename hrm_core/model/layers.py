"""The layers of both architectures, and their products.

Attribute names equal the checkpoint's keys. On some processors the library that torch chooses for
float32 products, MKL, runs at half of oneDNN's speed, so oneDNN can be chosen instead.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hrm_core.model.attention import Attend
from hrm_core.model.config import ModelConfig

CosSin = tuple[Tensor, Tensor]
Multiply = Callable[[Tensor, Tensor, Tensor | None], Tensor]


def rms_norm(x: Tensor, eps: float) -> Tensor:
    """Scale the last axis to unit root mean square, in float32, without a weight."""
    wide = x.float()
    return (wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + eps)).to(x.dtype)


def stablemax_weights(logits: Tensor) -> Tensor:
    """Return unnormalised probabilities: x + 1, or 1 / (1 - x) below zero.

    Source: arXiv 2501.04697.
    """
    # Clamping keeps the unused branch's gradient finite.
    return torch.where(logits >= 0, logits + 1, 1 / (1 - logits.clamp_max(0)))


def swiglu_width(size: int, expansion: float) -> int:
    """Width of a SwiGLU's middle: two thirds of the expansion, rounded up to 256."""
    return -(-round(expansion * size * 2 / 3) // 256) * 256


class Linear(nn.Module):
    """A matrix product in the input's dtype, independent of the dtype of the stored weight.

    `is_wide` computes in the weight's float32 and rounds the result: the same numbers as a product
    in half precision with float32 sums, on processors without instructions for it. `multiply`
    computes the product: torch's own choice of library, or oneDNN.
    """

    def __init__(self, in_features: int, out_features: int, bias: bool = False) -> None:
        super().__init__()
        self.is_wide = False
        self.multiply: Multiply = F.linear
        self.weight = nn.Parameter(torch.empty(out_features, in_features))
        self.bias = nn.Parameter(torch.empty(out_features)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        if self.is_wide:
            # Inference has rounded its weights once; training keeps them exact and rounds at use.
            weight = self.weight.to(x.dtype).float() if self.training else self.weight
            return self.multiply(x.float(), weight, self.bias).to(x.dtype)
        bias = None if self.bias is None else self.bias.to(x.dtype)
        return self.multiply(x, self.weight.to(x.dtype), bias)


class Embedding(nn.Module):
    """A look-up table under the checkpoint's key `embedding_weight`."""

    def __init__(self, num_embeddings: int, size: int) -> None:
        super().__init__()
        self.embedding_weight = nn.Parameter(torch.empty(num_embeddings, size))


class SwiGLU(nn.Module):
    """down(silu(gate) * up), gate and up from one product."""

    def __init__(self, size: int, expansion: float) -> None:
        super().__init__()
        width = swiglu_width(size, expansion)
        self.gate_up_proj = Linear(size, 2 * width)
        self.down_proj = Linear(width, size)

    def forward(self, x: Tensor) -> Tensor:
        gate, up = self.gate_up_proj(x).chunk(2, dim=-1)
        out: Tensor = self.down_proj(F.silu(gate) * up)
        return out


def rotary_tables(num_positions: int, head_dim: int, theta: float, device: torch.device) -> CosSin:
    """Cosine and sine of the rotary angles.

    Shapes: two float32 [num_positions, head_dim].
    """
    exponents = torch.arange(0, head_dim, 2, dtype=torch.float32, device=device) / head_dim
    positions = torch.arange(num_positions, dtype=torch.float32, device=device)
    angles = torch.outer(positions, 1.0 / theta**exponents).repeat(1, 2)
    return angles.cos(), angles.sin()


def rotate(x: Tensor, cos_sin: CosSin) -> Tensor:
    """Apply the rotary position encoding to each head, in float32.

    Shapes: x [B, P + S, heads, head_dim]; tables [P + S, head_dim].
    """
    cos, sin = (table.unsqueeze(-2) for table in cos_sin)
    wide = x.float()
    half = x.shape[-1] // 2
    first, second = wide[..., :half], wide[..., half:]
    out = wide * cos
    out[..., :half].addcmul_(second, sin[..., :half], value=-1)
    out[..., half:].addcmul_(first, sin[..., half:])
    return out.to(x.dtype)


class Attention(nn.Module):
    """Full multi-head attention; PAD positions are attended to like any other."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.num_heads = config.num_heads
        self.qkv_proj = Linear(config.hidden_size, 3 * config.hidden_size)
        self.o_proj = Linear(config.hidden_size, config.hidden_size)

    def forward(self, x: Tensor, cos_sin: CosSin | None, attend: Attend) -> Tensor:
        batch, length, size = x.shape
        heads = self.qkv_proj(x).view(batch, length, 3 * self.num_heads, -1)
        if cos_sin is None:
            q, k, v = heads.chunk(3, dim=2)
        else:
            q_and_k, v = heads.split((2 * self.num_heads, self.num_heads), dim=2)
            q, k = rotate(q_and_k, cos_sin).chunk(2, dim=2)
        if self.qkv_proj.is_wide:
            mixed = attend(q.float(), k.float(), v.float()).to(x.dtype)
        else:
            mixed = attend(q, k, v)
        out: Tensor = self.o_proj(mixed.reshape(batch, length, size))
        return out


class Block(nn.Module):
    """Post-norm block: token mixing (attention, or a SwiGLU across positions), then a SwiGLU."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.eps = config.rms_norm_eps
        self.is_mlp_t = config.mlp_t
        if config.mlp_t:
            self.mlp_t = SwiGLU(config.num_positions, config.expansion)
        else:
            self.self_attn = Attention(config)
        self.mlp = SwiGLU(config.hidden_size, config.expansion)

    def forward(self, x: Tensor, cos_sin: CosSin | None, attend: Attend) -> Tensor:
        if self.is_mlp_t:
            # The norm runs over positions here, as the published TRM weights expect.
            across = x.transpose(1, 2)
            x = rms_norm(across + self.mlp_t(across), self.eps).transpose(1, 2)
        else:
            x = rms_norm(x + self.self_attn(x, cos_sin, attend), self.eps)
        return rms_norm(x + self.mlp(x), self.eps)


class Level(nn.Module):
    """A stack of blocks that first adds its injection."""

    def __init__(self, config: ModelConfig, num_layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Block(config) for _ in range(num_layers))

    def forward(
        self, hidden: Tensor, injection: Tensor, cos_sin: CosSin | None, attend: Attend
    ) -> Tensor:
        x = hidden + injection
        for layer in self.layers:
            x = layer(x, cos_sin, attend)
        return x


def widen_products(network: nn.Module) -> None:
    """Make a half-precision network multiply in float32; weights and results round as before."""
    for linear in _linears(network):
        linear.float()
        linear.is_wide = True


def use_onednn(network: nn.Module, *, packs: bool) -> None:
    """Make a network multiply with oneDNN; `packs` reorders the weights for it, for inference only.

    The q head is excluded: it is multiplied row by row.
    """
    for linear in _linears(network):
        if linear.bias is not None:
            continue
        linear.multiply = onednn_linear
        if packs:
            linear.weight = nn.Parameter(pack_weight(linear.weight.detach()), requires_grad=False)


def _linears(network: nn.Module) -> Iterator[Linear]:
    return (module for module in network.modules() if isinstance(module, Linear))


def has_onednn() -> bool:
    """Return whether this build of torch offers oneDNN's products."""
    return hasattr(torch.ops.mkldnn, "_linear_pointwise")


def pack_weight(weight: Tensor) -> Tensor:
    """Reorder a weight for oneDNN's fastest reads; only `onednn_linear` can use the result."""
    packed: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight)
    return packed


# A custom operator: torch.compile supports neither packed weights nor three dimensions here. It is
# defined piece by piece, since `torch.library.custom_op` loads the compiler at its first call.
_NAME = "hrm_arc::onednn_linear"
torch.library.define(_NAME, "(Tensor x, Tensor weight, Tensor? bias) -> Tensor")


@torch.library.impl(_NAME, "CompositeExplicitAutograd")
def _linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    out: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    return out


def _shape(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return x.new_empty(*x.shape[:-1], weight.shape[0])


def _keep_inputs(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor | None], output: Tensor) -> None:
    ctx.save_for_backward(*inputs[:2])
    ctx.has_bias = inputs[2] is not None


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    x, weight = ctx.saved_tensors
    rows = grad.flatten(0, -2)
    grad_x = grad_weight = None
    if ctx.needs_input_grad[0]:
        grad_x = onednn_linear(grad.contiguous(), weight.t().contiguous())
    if ctx.needs_input_grad[1]:
        grad_weight = onednn_linear(rows.t().contiguous(), x.flatten(0, -2).t().contiguous())
    return grad_x, grad_weight, rows.sum(0) if ctx.has_bias else None


torch.library.register_fake(_NAME, _shape)
torch.library.register_autograd(_NAME, _backward, setup_context=_keep_inputs)


def onednn_linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Multiply as `torch.nn.functional.linear` does; gradients reach x and an unpacked weight.

    Shapes: x [..., in]; weight [out, in], plain or packed; bias [out].
    """
    out: Tensor = torch.ops.hrm_arc.onednn_linear(x, weight, bias)
    return out
