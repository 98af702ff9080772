"""Models to measure: random weights of the published size, and a segment's cost and accuracy."""

import hashlib
from pathlib import Path

import torch

from hrm_core import ARC_VOCAB_SIZE, Checkpoint, ModelConfig, parse_arch
from hrm_core.checkpoint.weights import RowTable
from hrm_core.model.attention import sdpa
from hrm_core.model.network import build_network, initialise

NUM_ROWS = 1_045_829
ROW_WIDTH = 512
ARCH = {
    "name": "hrm.hrm_act_v1@HierarchicalReasoningModel_ACTV1",
    "hidden_size": 512,
    "num_heads": 8,
    "H_layers": 4,
    "L_layers": 4,
    "H_cycles": 2,
    "L_cycles": 2,
    "expansion": 4,
    "halt_max_steps": 16,
    "halt_exploration_prob": 0.1,
    "puzzle_emb_ndim": ROW_WIDTH,
    "pos_encodings": "rope",
    "forward_dtype": "bfloat16",
}


def full_size_config(canvas: int = 30, num_rows: int = NUM_ROWS) -> ModelConfig:
    """Return the shape of the published ARC-AGI-2 checkpoint, with another canvas or fewer rows.

    Source: the `all_config.yaml` of sapientinc/HRM-checkpoint-ARC-2.
    """
    return parse_arch({"arch": ARCH}).configure(
        vocab_size=ARC_VOCAB_SIZE, seq_len=canvas**2, num_rows=num_rows
    )


def synthetic_checkpoint(config: ModelConfig, seed: int) -> Checkpoint:
    """Make a checkpoint of random weights in memory, for measuring; its answers mean nothing.

    All rows of its table are one random row, so that a table of any length takes no memory.
    """
    generator = torch.Generator().manual_seed(seed)
    network = build_network(config, sdpa, torch.float32)
    initialise(network, generator)
    row = torch.randn(1, config.puzzle_emb_ndim, generator=generator)
    name = f"synthetic checkpoint, seed {seed}"
    return Checkpoint(
        folder=Path(name),
        weights_path=Path(name),
        config=config,
        trunk=network.state_dict(),
        rows=RowTable(row.expand(config.num_rows, -1)),
        names=None,
        sha256=hashlib.sha256(f"{name} {config!r}".encode()).hexdigest(),
    )


def segment_flops(config: ModelConfig, num_block_parameters: int) -> int:
    """Count the floating point operations of one segment of one sample.

    Each multiplication with an addition counts as two: each weight of a block is applied to every
    position once per block application, and attention is two products of positions by positions by
    D. Norms, rotary, softmax, embeddings and heads (together under 1 %) are left out.

    `num_block_parameters` counts one block's.
    """
    length = config.num_positions
    products = 2 * length * num_block_parameters
    attention = 2 * 2 * length**2 * config.hidden_size
    H_layers = config.L_layers if config.architecture == "trm" else config.H_layers
    num_applications = config.H_cycles * (config.L_cycles * config.L_layers + H_layers)
    return num_applications * (products + attention)


def relative_error(
    found: torch.Tensor, expected: torch.Tensor, outputs: torch.Tensor | None = None
) -> float:
    """Return the root mean square of the differences, relative to that of outputs.

    Those are the expected ones unless others are given.
    """
    outputs = expected if outputs is None else outputs
    errors = found.float() - expected.float()
    return float((errors.square().mean() / outputs.float().square().mean()).sqrt())
