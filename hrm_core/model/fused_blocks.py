"""Blocks with fused kernels in their products, used where tuning measured them to be faster."""

import importlib.util
from collections.abc import Collection

import torch.nn.functional as F
from torch import Tensor

from hrm_core.model.attention import Attend
from hrm_core.model.layers import Block, CosSin, rms_norm, rotate
from hrm_core.model.network import Network

# The product of gate and up with SwiGLU; of the heads or the SwiGLU with residual and norm; of q, k
# and v with the rotary encoding.
KERNEL_NAMES = ("swiglu", "norm", "rotary")
# For its norm, a row of the state is held in one program's registers.
MAX_NORM_SIZE = 1024
MIN_HALF_HEAD = 16


class FusedBlock(Block):
    """A block with the named kernels in its products."""

    kernels: Collection[str] = ()

    def forward(self, x: Tensor, cos_sin: CosSin | None, attend: Attend) -> Tensor:
        """Mix tokens, then channels.

        Shapes: as `Block`.
        """
        if self.is_mlp_t:
            across = x.transpose(1, 2)
            x = rms_norm(across + self.mlp_t(across), self.eps).transpose(1, 2).contiguous()
        else:
            mixed = self._mix(x, cos_sin, attend)
            x = self._project(mixed, self.self_attn.o_proj.weight, x)
        return self._project(self._swiglu(x), self.mlp.down_proj.weight, x)

    def _mix(self, x: Tensor, cos_sin: CosSin | None, attend: Attend) -> Tensor:
        attention = self.self_attn
        num_heads = attention.num_heads
        if "rotary" in self.kernels and cos_sin is not None:
            from hrm_core.model.triton_kernels import qkv_rotary

            heads = qkv_rotary(x, attention.qkv_proj.weight, *cos_sin, num_heads)
            q, k, v = heads.chunk(3, dim=2)
        else:
            heads = attention.qkv_proj(x).view(*x.shape[:2], 3 * num_heads, -1)
            q, k, v = heads.chunk(3, dim=2)
            if cos_sin is not None:
                q, k = rotate(q, cos_sin), rotate(k, cos_sin)
        return attend(q, k, v).reshape(x.shape)

    def _swiglu(self, x: Tensor) -> Tensor:
        if "swiglu" in self.kernels:
            from hrm_core.model.triton_kernels import swiglu

            return swiglu(x, self.mlp.gate_up_proj.weight)
        gate, up = self.mlp.gate_up_proj(x).chunk(2, dim=-1)
        product: Tensor = F.silu(gate) * up
        return product

    def _project(self, x: Tensor, weight: Tensor, residual: Tensor) -> Tensor:
        if "norm" in self.kernels:
            from hrm_core.model.triton_kernels import project_norm

            return project_norm(x, weight, residual, self.eps)
        return rms_norm(residual + F.linear(x, weight), self.eps)


def can_fuse(network: Network, name: str) -> bool:
    """Return whether Triton is installed and a kernel supports the network's sizes."""
    if importlib.util.find_spec("triton") is None:
        return False
    config = network.config
    if name not in KERNEL_NAMES:
        return False
    half = config.head_dim // 2
    return {
        "swiglu": True,
        "norm": config.hidden_size <= MAX_NORM_SIZE,
        "rotary": config.pos_encodings == "rope"
        and not config.mlp_t
        and half >= MIN_HALF_HEAD
        and half & (half - 1) == 0,
    }[name]


def fuse(network: Network, names: Collection[str]) -> None:
    """Make the network's blocks use the named kernels, or plain blocks where none is named.

    For inference on CUDA, with weights in the computation's dtype.
    """
    for module in network.modules():
        if isinstance(module, Block):
            module.__class__ = FusedBlock if names else Block
            if isinstance(module, FusedBlock):
                module.kernels = tuple(names)
