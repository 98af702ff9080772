"""The held-out check: answers to demonstrations that are excluded from training."""

from collections.abc import Generator, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hrm_core.model.network import Network
from hrm_core.training.arrays import TrainingArrays

# Samples at once, in number like a slice of training.
CHUNK_SIZE = 64


def exact_share_in_segments(
    network: Network,
    table: Tensor,
    examples: Sequence[tuple[TrainingArrays, npt.NDArray[np.int64]]],
) -> Generator[None, None, float]:
    """Return the share of examples with every cell right after all segments; yield after each.

    `examples` lists their indices for the arrays of each size.

    Shapes: table float32 [num_rows, puzzle_emb_ndim]; examples int64 [N], at least one.
    """
    num_right = 0
    for arrays, indices in examples:
        num_right += yield from _count_right(network, table, arrays, indices)
    return num_right / sum(len(indices) for _, indices in examples)


def _count_right(
    network: Network,
    table: Tensor,
    arrays: TrainingArrays,
    examples: npt.NDArray[np.int64],
) -> Generator[None, None, int]:
    row_of_example = np.repeat(arrays.rows, np.diff(arrays.variant_starts))
    num_right = 0
    for start in range(0, len(examples), CHUNK_SIZE):
        part = examples[start : start + CHUNK_SIZE]
        inputs = torch.from_numpy(arrays.inputs[part].astype(np.int64)).to(table.device)
        labels = torch.from_numpy(arrays.labels[part].astype(np.int64)).to(table.device)
        rows = torch.from_numpy(row_of_example[part]).to(table.device)
        z_H, z_L = network.fresh_state(len(part), inputs.shape[1])
        for _ in range(network.config.halt_max_steps):
            with torch.inference_mode():
                z_H, z_L = network.segment(z_H, z_L, network.embed(inputs, table[rows]))
            yield
        with torch.inference_mode():
            is_wrong = (network.read_logits(z_H).argmax(-1) != labels) & (labels != 0)
            num_right += int((~is_wrong.any(-1)).sum())
    return num_right
