"""From a configuration to a network, with or without memory behind it."""

from collections.abc import Iterator

import torch
from torch import nn

from hrm_core.device.onednn import onednn_linear, pack_weight
from hrm_core.model.config import ModelConfig
from hrm_core.model.hrm import HRM
from hrm_core.model.layers import Attend, Linear
from hrm_core.model.network import Network
from hrm_core.model.trm import TRM


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


def widen_products(network: nn.Module) -> None:
    """Let a half-precision network multiply in float32; weights and results round as before."""
    for linear in _linears(network):
        linear.float()
        linear.is_wide = True


def use_onednn(network: nn.Module, *, packs: bool) -> None:
    """Let oneDNN multiply; with `packs` the weights are laid out for it, for inference only.

    The q head is left out: it is multiplied row by row.
    """
    for linear in _linears(network):
        if linear.bias is not None:
            continue
        linear.multiply = onednn_linear
        if packs:
            linear.weight = nn.Parameter(pack_weight(linear.weight.detach()), requires_grad=False)


def _linears(network: nn.Module) -> Iterator[Linear]:
    return (module for module in network.modules() if isinstance(module, Linear))
