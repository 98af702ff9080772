"""The full-size network that everything here measures, and what one segment of it costs."""

from hrm_core import ARC_VOCAB_SIZE, ModelConfig, parse_arch

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
    """Give the shape of the published ARC-AGI-2 checkpoint, with another canvas or fewer rows.

    Source: the `all_config.yaml` of sapientinc/HRM-checkpoint-ARC-2.
    """
    return parse_arch({"arch": ARCH}).configure(
        vocab_size=ARC_VOCAB_SIZE, seq_len=canvas**2, num_rows=num_rows
    )


def segment_flops(config: ModelConfig, num_block_parameters: int) -> int:
    """Count the floating point operations of one segment of one sample.

    Two for each multiplication with an addition: each weight of a block meets every position once
    a block application, and attention is two products of positions by positions by D. Norms,
    rotary, softmax, embeddings and heads (together under 1 %) are left out.

    `num_block_parameters` counts one block's.
    """
    length = config.num_positions
    products = 2 * length * num_block_parameters
    attention = 2 * 2 * length**2 * config.hidden_size
    return num_block_applications(config) * (products + attention)


def num_block_applications(config: ModelConfig) -> int:
    """Count the blocks a sample passes in one segment."""
    if config.architecture == "trm":
        return config.H_cycles * (config.L_cycles + 1) * config.L_layers
    return config.H_cycles * (config.L_cycles * config.L_layers + config.H_layers)
