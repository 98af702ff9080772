"""How likely known answers are through given rows: what the loss of training measures."""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hrm_core.model.network import Network
from hrm_core.training.step import PAD, stablemax_cross_entropy


def answer_log_likelihoods(
    network: Network, tokens: Tensor, rows: Tensor, labels: Tensor
) -> Tensor:
    """Return the mean log probability of each sample's labels after one segment; PAD is no label.

    Shapes: tokens, labels int [B, S]; rows float32 [B, n]; result float32 [B].
    """
    z_H, z_L = network.fresh_state(len(tokens), tokens.shape[1])
    z_H, _ = network.segment(z_H, z_L, network.embed(tokens, rows))
    is_label = labels != PAD
    losses = stablemax_cross_entropy(network.read_logits(z_H), labels)
    return -losses.masked_fill(~is_label, 0.0).sum(-1) / is_label.sum(-1).clamp_min(1)


def batched_log_likelihoods(
    network: Network,
    tokens: npt.NDArray[np.int32],
    rows: npt.NDArray[np.float32],
    labels: npt.NDArray[np.int32],
    batch: int,
    device: torch.device,
) -> npt.NDArray[np.float64]:
    """Compute `answer_log_likelihoods` in batches on a device.

    Shapes: tokens, labels [N, S]; rows [N, n]; result [N].
    """
    results = []
    with torch.inference_mode():
        for start in range(0, len(tokens), batch):
            part = slice(start, start + batch)
            arrays = (torch.from_numpy(x[part]).to(device) for x in (tokens, rows, labels))
            results.append(answer_log_likelihoods(network, *arrays).double().cpu().numpy())
    return np.concatenate(results) if results else np.empty(0)
