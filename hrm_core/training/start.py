"""The start of a training run: its network, and the trunk and rows that it begins with."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hrm_core.checkpoint.folder import Checkpoint
from hrm_core.device.arithmetic import Arithmetic
from hrm_core.device.measured import MeasuredChoices
from hrm_core.engine.memory import may_keep_scores
from hrm_core.errors import TrainingError
from hrm_core.model.attention import Attend
from hrm_core.model.attention_choice import by_length, choose, load_backend
from hrm_core.model.config import ModelConfig
from hrm_core.model.layers import use_onednn, widen_products
from hrm_core.model.network import Network, build_network, initialise
from hrm_core.training.lanes import batch_size_of
from hrm_core.training.settings import TrainSettings

# The mean of a large table is taken over so many rows, evenly spread, instead of gigabytes.
NUM_MEAN_ROWS = 4096


@dataclass(frozen=True, slots=True)
class Start:
    """The start of a run other than random weights: a trunk, and one value for every row.

    Shapes: row float32 [puzzle_emb_ndim].
    """

    trunk: Mapping[str, Tensor]
    row: Tensor


def start_from(checkpoint: Checkpoint) -> Start:
    """Return a checkpoint's trunk and the mean of its rows."""
    trunk = {name: tensor.float() for name, tensor in checkpoint.trunk.items()}
    return Start(trunk, mean_row(checkpoint))


def mean_row(checkpoint: Checkpoint) -> Tensor:
    """Average the trained rows of a table, or a sample of a large one; the blank row 0 is excluded.

    Shapes: result float32 [puzzle_emb_ndim].

    Raises: TrainingError for a table without trained rows.
    """
    num = min(NUM_MEAN_ROWS, checkpoint.rows.num_rows - 1)
    if num < 1 or checkpoint.rows.ndim == 0:
        raise TrainingError(
            f"{checkpoint.folder} has no trained rows: nothing to start new ones from"
        )
    rows = np.linspace(1, checkpoint.rows.num_rows - 1, num).astype(np.int64)
    mean = checkpoint.rows.gather(rows).mean(0, dtype=np.float64).astype(np.float32)
    return torch.from_numpy(mean)


def make_network(
    config: ModelConfig,
    sides: Iterable[int],
    settings: TrainSettings,
    device: torch.device,
    arithmetic: Arithmetic,
    measured: MeasuredChoices,
    start: Start | None,
    generator: torch.Generator,
) -> Network:
    """Build a network to train on squares of the given sides, with its weights, on the CPU."""

    def choose_attention(length: int) -> Attend:
        dtype = arithmetic.attention_dtype
        if not may_keep_scores(length, device, dtype):
            return load_backend("sdpa")
        batch = settings.slice_size or batch_size_of(length, config, settings)
        shape = (batch, length, config.num_heads, config.head_dim)
        return choose("auto", shape, device, dtype, trains=True, measured=measured).attend

    lengths = [config.puzzle_emb_len + side**2 for side in sides]
    attend = by_length({length: choose_attention(length) for length in lengths})
    network = build_network(config, attend, getattr(torch, config.forward_dtype))
    network.dtype = arithmetic.dtype
    initialise(network, generator)
    if start is not None:
        network.load_state_dict(dict(start.trunk), strict=True)
    if arithmetic.is_wide:
        widen_products(network)
    if arithmetic.is_onednn:
        use_onednn(network, packs=False)
    return network
