"""From a configuration to a network, with or without memory behind it."""

import torch

from hrm_core.config import ModelConfig
from hrm_core.hrm import HRM
from hrm_core.layers import Attend, Linear
from hrm_core.network import Network
from hrm_core.trm import TRM


def build_network(
    config: ModelConfig, attend: Attend, dtype: torch.dtype, *, meta: bool = False
) -> Network:
    """Make the network a configuration describes, its parameters unfilled.

    With `meta`, parameters take no memory until weights are assigned to them.
    """
    kind = TRM if config.architecture == "trm" else HRM
    if not meta:
        return kind(config, attend, dtype)
    with torch.device("meta"):
        return kind(config, attend, dtype)


def widen_products(network: Network) -> None:
    """Let a half-precision network multiply in float32; weights and results round as before."""
    for module in network.modules():
        if isinstance(module, Linear):
            module.float()
            module.is_wide = True
