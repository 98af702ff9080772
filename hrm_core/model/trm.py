"""The Tiny Recursive Model: one level in both roles."""

import torch
from torch import Tensor

from hrm_core.model.config import ModelConfig
from hrm_core.model.layers import Attend, Level
from hrm_core.model.network import Network


class TRM(Network):
    """One small level that refines z_L with the input and z_H without it.

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
