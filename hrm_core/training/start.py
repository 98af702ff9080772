"""The start of a training run: its network, and the trunk and rows that it begins with."""

from collections.abc import Iterable, Mapping, Sequence
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
from hrm_core.training.ranks import Ranks
from hrm_core.training.settings import TrainSettings

# The mean of a large table is taken over so many rows, evenly spread, instead of gigabytes.
NUM_MEAN_ROWS = 4096


@dataclass(frozen=True, slots=True)
class Start:
    """The start of a run other than random weights: a trunk, and a value for every row.

    Rows `known` start from `known_rows`, all others from `row`.

    Shapes: row float32 [puzzle_emb_ndim], known int64 [K], known_rows float32 [K, puzzle_emb_ndim].
    """

    trunk: Mapping[str, Tensor]
    row: Tensor
    known: Tensor
    known_rows: Tensor

    def fill(self, table: Tensor) -> None:
        """Fill the rows of a table, but for the blank row 0."""
        table[1:] = self.row.to(table)
        table[self.known.to(table.device)] = self.known_rows.to(table)


def start_from(checkpoint: Checkpoint, identifiers: Sequence[str] = ()) -> Start:
    """Return a checkpoint's trunk, its rows for the variants that it knows, and their mean.

    `identifiers` name the rows of the new table, as `identifiers.json` does; those that the
    checkpoint has under the same name start from its rows.
    """
    trunk = {name: tensor.float() for name, tensor in checkpoint.trunk.items()}
    row_of = {name: row for row, name in enumerate(checkpoint.names or ()) if row}
    known = [row for row, name in enumerate(identifiers) if row and name in row_of]
    old_rows = np.array([row_of[identifiers[row]] for row in known], dtype=np.int64)
    return Start(
        trunk,
        mean_row(checkpoint),
        torch.tensor(known, dtype=torch.int64),
        torch.from_numpy(checkpoint.rows.gather(old_rows)),
    )


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
    *,
    generator: torch.Generator,
    ranks: Ranks,
) -> Network:
    """Build a network to train on squares of the given sides, with its weights, on the CPU."""

    def choose_attention(length: int) -> Attend:
        dtype = arithmetic.attention_dtype
        if not may_keep_scores(length, device, dtype):
            return load_backend("sdpa")
        batch = settings.slice_size or batch_size_of(length, config, settings)
        shape = (batch, length, config.num_heads, config.head_dim)
        return load_backend(
            ranks.decide(
                lambda: choose("auto", shape, device, dtype, trains=True, measured=measured).name
            )
        )

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
