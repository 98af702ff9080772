"""The architectures: HRM, TRM, and the network that a configuration describes."""

import torch
from torch import Tensor

from hrm_core.model.config import ModelConfig
from hrm_core.model.layers import Attend, Level
from hrm_core.model.network import Network


class HRM(Network):
    """The Hierarchical Reasoning Model: a slow level H over a fast level L, one-step gradient.

    Source: arXiv 2506.21734 section 2.
    """

    def __init__(self, config: ModelConfig, attend: Attend, dtype: torch.dtype) -> None:
        super().__init__(config, attend, dtype)
        self.H_level = Level(config, config.H_layers)
        self.L_level = Level(config, config.L_layers)

    def segment(self, z_H: Tensor, z_L: Tensor, e: Tensor) -> tuple[Tensor, Tensor]:
        """Run H_cycles x L_cycles; only the last L and the last H application carry gradient."""
        config, cos_sin, attend = self.config, self.cos_sin(e.shape[1]), self.attend
        last_H, last_L = config.H_cycles - 1, config.L_cycles - 1
        with torch.no_grad():
            for H_cycle in range(config.H_cycles):
                for L_cycle in range(config.L_cycles):
                    if (H_cycle, L_cycle) != (last_H, last_L):
                        z_L = self.L_level(z_L, z_H + e, cos_sin, attend)
                if H_cycle != last_H:
                    z_H = self.H_level(z_H, z_L, cos_sin, attend)
        z_L = self.L_level(z_L, z_H + e, cos_sin, attend)
        z_H = self.H_level(z_H, z_L, cos_sin, attend)
        return z_H, z_L


class TRM(Network):
    """The Tiny Recursive Model: one level refines z_L with the input and z_H without it.

    Source: arXiv 2510.04871 section 4.
    """

    def __init__(self, config: ModelConfig, attend: Attend, dtype: torch.dtype) -> None:
        super().__init__(config, attend, dtype)
        self.L_level = Level(config, config.L_layers)

    def segment(self, z_H: Tensor, z_L: Tensor, e: Tensor) -> tuple[Tensor, Tensor]:
        """Run H_cycles x L_cycles; the whole last H-cycle carries gradient."""
        with torch.no_grad():
            for _ in range(self.config.H_cycles - 1):
                z_H, z_L = self._cycle(z_H, z_L, e)
        return self._cycle(z_H, z_L, e)

    def _cycle(self, z_H: Tensor, z_L: Tensor, e: Tensor) -> tuple[Tensor, Tensor]:
        cos_sin, attend = self.cos_sin(e.shape[1]), self.attend
        for _ in range(self.config.L_cycles):
            z_L = self.L_level(z_L, z_H + e, cos_sin, attend)
        z_H = self.L_level(z_H, z_L, cos_sin, attend)
        return z_H, z_L


def build_network(
    config: ModelConfig, attend: Attend, dtype: torch.dtype, *, meta: bool = False
) -> Network:
    """Make the network that a configuration describes, its parameters uninitialised.

    With `meta`, parameters take no memory until weights are assigned to them.
    """
    kind = TRM if config.architecture == "trm" else HRM
    if not meta:
        return kind(config, attend, dtype)
    with torch.device("meta"):
        return kind(config, attend, dtype)
