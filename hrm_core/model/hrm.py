"""The Hierarchical Reasoning Model: two levels at two tempos."""

import torch
from torch import Tensor

from hrm_core.model.config import ModelConfig
from hrm_core.model.layers import Attend, Level
from hrm_core.model.network import Network


class HRM(Network):
    """A slow level H over a fast level L, with the one-step gradient.

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
