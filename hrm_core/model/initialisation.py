"""Initialisation of an untrained network."""

import math

import torch
from torch import Tensor, nn

from hrm_core.model.layers import Embedding, Linear
from hrm_core.model.network import Network

Q_HALT_BIAS = -5.0  # q starts near zero probability, which speeds up the bootstrap


def initialise(network: Network, generator: torch.Generator) -> None:
    """Fill every parameter and initial state in place.

    LeCun-scaled truncated normals with an exact standard deviation; the q head starts blank.

    Source: arXiv 2506.21734, Methods.
    """
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, Linear):
                truncated_normal_(module.weight, module.weight.shape[1] ** -0.5, generator)
            elif isinstance(module, Embedding):
                std = module.embedding_weight.shape[1] ** -0.5
                truncated_normal_(module.embedding_weight, std, generator)
        nn.init.zeros_(network.q_head.weight)
        nn.init.constant_(network.q_head.get_parameter("bias"), Q_HALT_BIAS)
        for state in (network.H_init, network.L_init):
            state.copy_(truncated_normal_(torch.empty(state.shape), 1.0, generator))


def truncated_normal_(tensor: Tensor, std: float, generator: torch.Generator) -> Tensor:
    """Fill with a normal truncated at two standard deviations, rescaled to have exactly `std`.

    `nn.init.trunc_normal_` gives a smaller deviation than requested (0.88 of it).
    """
    bound = 2.0
    mass = math.erf(bound / math.sqrt(2))
    density = math.exp(-0.5 * bound**2) / math.sqrt(2 * math.pi)
    shrink = math.sqrt(1 - 2 * bound * density / mass)
    nn.init.trunc_normal_(tensor, 0.0, 1.0, -bound, bound, generator=generator)
    return tensor.mul_(std / shrink)
