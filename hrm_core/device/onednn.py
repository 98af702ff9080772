"""Matrix products by oneDNN, independent of the library that torch would choose.

On some processors torch's own choice for float32, MKL, runs at half of oneDNN's speed.
"""

from typing import Any

import torch
from torch import Tensor


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
