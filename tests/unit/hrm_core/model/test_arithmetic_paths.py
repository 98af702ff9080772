"""Every way to compute that a measurement may choose: reference outputs, and independence.

For each instruction set that `ONEDNN_MAX_CPU_ISA` and `ATEN_CPU_CAPABILITY` can limit a process to.
"""

from pathlib import Path

import pytest
import torch
from tolerances import assert_within

from bench.model import synthetic_checkpoint
from hrm_core import Checkpoint, compare_segments, open_checkpoint, parse_arch
from hrm_core.checkpoint.agreement import MAX_ERROR
from hrm_core.device.arithmetic import Arithmetic
from hrm_core.model.attention_choice import load_backend
from hrm_core.model.layers import has_onednn, onednn_linear, pack_weight
from hrm_core.model.network import Network

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")


def runs(arithmetic: Arithmetic) -> bool:
    """Return whether this processor has these products: a measurement chooses no others."""
    x = torch.ones(2, 8, dtype=arithmetic.dtype)
    if not arithmetic.is_onednn or arithmetic.is_wide:
        return True
    try:
        onednn_linear(x, pack_weight(torch.ones(4, 8, dtype=arithmetic.dtype)))
    except RuntimeError:
        return False
    return True


LIBRARIES = (False, True) if has_onednn() else (False,)
FLOAT32 = [Arithmetic("float32", is_onednn=is_onednn) for is_onednn in LIBRARIES]
BFLOAT16 = [
    arithmetic
    for is_wide in (False, True)
    for is_onednn in LIBRARIES
    if runs(arithmetic := Arithmetic("bfloat16", is_wide, is_onednn))
]
ATTENTIONS = ("sdpa", "matmul", "blocked")


def describe(arithmetic: Arithmetic) -> str:
    return arithmetic.name.replace(" ", "-")


@pytest.mark.parametrize("attention", ATTENTIONS)
@pytest.mark.parametrize("arithmetic", FLOAT32, ids=describe)
@pytest.mark.parametrize("name", ["hrm-rope", "hrm-learned-wide-emb", "trm", "trm-mlp"])
def test_golden_float32_segments_match_the_reference(
    golden_folder: Path, name: str, arithmetic: Arithmetic, attention: str
) -> None:
    checkpoint = open_checkpoint(golden_folder / name)
    stored = golden_folder / name / "segments.npz"
    found = compare_segments(checkpoint, stored, CPU, attention, arithmetic)
    assert found.agrees, found.disagreements
    assert_within(max(found.max_logit_error, found.max_q_error), MAX_ERROR)


@pytest.mark.parametrize("attention", ATTENTIONS)
@pytest.mark.parametrize("arithmetic", BFLOAT16, ids=describe)
def test_golden_bfloat16_segments_are_as_close_to_float32_as_the_reference_s(
    golden_folder: Path, arithmetic: Arithmetic, attention: str
) -> None:
    folder = golden_folder / "hrm-bf16"
    found = compare_segments(
        open_checkpoint(folder), folder / "segments.npz", CPU, attention, arithmetic
    )
    assert found.agrees, found.disagreements
    assert found.rms_error is not None
    assert found.rms_allowed is not None
    assert found.rms_error > 0
    assert_within(found.rms_error, found.rms_allowed)


def checkpoint_of(hidden_size: int, num_heads: int, canvas: int) -> Checkpoint:
    arch = {
        "name": "hrm.hrm_act_v1@HierarchicalReasoningModel_ACTV1",
        **{"hidden_size": hidden_size, "num_heads": num_heads, "expansion": 4},
        **{"H_layers": 1, "L_layers": 1, "H_cycles": 1, "L_cycles": 1},
        **{"halt_max_steps": 8, "halt_exploration_prob": 0.1, "pos_encodings": "rope"},
        **{"puzzle_emb_ndim": hidden_size, "forward_dtype": "bfloat16"},
    }
    config = parse_arch({"arch": arch}).configure(vocab_size=12, seq_len=canvas**2, num_rows=4)
    return synthetic_checkpoint(config, seed=0)


# The demonstration checkpoint's shape, and the published one's on a smaller canvas.
SHAPES = {"6 x 6": (128, 4, 6, 16), "20 x 20": (512, 8, 20, 2)}


@pytest.fixture(scope="module", params=SHAPES)
def shape(request: pytest.FixtureRequest) -> tuple[Checkpoint, int]:
    """Return a checkpoint and a number of slots."""
    hidden_size, num_heads, canvas, num_slots = SHAPES[request.param]
    return checkpoint_of(hidden_size, num_heads, canvas), num_slots


def outputs(network: Network, tokens: torch.Tensor, rows: torch.Tensor) -> list[torch.Tensor]:
    with torch.inference_mode():
        z_H, z_L = network.fresh_state(len(tokens))
        z_H, z_L = network.segment(z_H, z_L, network.embed(tokens, rows))
        return [z_H, z_L, network.read_logits(z_H), *network.read_q(z_H)]


@pytest.mark.parametrize("attention", ATTENTIONS)
@pytest.mark.parametrize("arithmetic", FLOAT32 + BFLOAT16, ids=describe)
def test_a_sample_s_numbers_depend_on_neither_slot_nor_neighbours(
    shape: tuple[Checkpoint, int], arithmetic: Arithmetic, attention: str
) -> None:
    checkpoint, num_slots = shape
    config = checkpoint.config
    network = checkpoint.load_network(
        load_backend(attention),
        CPU,
        arithmetic.dtype,
        is_wide=arithmetic.is_wide,
        is_onednn=arithmetic.is_onednn,
    )
    generator = torch.Generator().manual_seed(1)
    size = (num_slots, config.seq_len)
    tokens = torch.randint(config.vocab_size, size, generator=generator)
    rows = torch.randn(num_slots, config.puzzle_emb_ndim, generator=generator)
    last = num_slots - 1
    moved = (tokens.flip(0), rows.flip(0))
    moved[0][:last], moved[1][:last] = 0, 0.0
    first = outputs(network, tokens, rows)
    for before, after in zip(first, outputs(network, *moved), strict=True):
        assert torch.equal(before[0], after[last])
