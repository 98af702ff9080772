"""A network on a crop against the whole canvas with attention to only the crop's positions."""

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tolerances import assert_within
from torch import Tensor

from hrm_core import Checkpoint, open_checkpoint
from hrm_core.model.attention_choice import load_backend
from hrm_core.model.layers import Attend
from hrm_core.model.network import Network

pytestmark = pytest.mark.usefixtures("one_thread")

GOLDEN = Path(__file__).parents[1] / "data" / "golden"
CPU = torch.device("cpu")
SDPA = load_backend("sdpa")
# Rotary positions, learned ones with a prefix of two, and the other architecture.
NAMES = ("hrm-rope", "hrm-learned-wide-emb", "trm")
NUM_SEGMENTS = 2


def positions_of(checkpoint: Checkpoint, side: int) -> Tensor:
    """Return where the prefix and the cells of the top-left square are on the whole canvas."""
    config = checkpoint.config
    cells = [row * config.canvas + column for row in range(side) for column in range(side)]
    before = config.puzzle_emb_len
    return torch.tensor([*range(before), *(before + cell for cell in cells)])


def seeing_only(positions: Tensor) -> Attend:
    """Return attention with queries that see only some keys."""

    def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return SDPA(q, k[:, positions], v[:, positions])

    return attend


def run(network: Network, tokens: Tensor, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return z_H, logits and q_halt after some segments."""
    with torch.inference_mode():
        z_H, z_L = network.fresh_state(len(tokens), tokens.shape[1])
        e = network.embed(tokens, rows)
        for _ in range(NUM_SEGMENTS):
            z_H, z_L = network.segment(z_H, z_L, e)
        return z_H, network.read_logits(z_H), network.read_q(z_H)[0]


def inputs_of(checkpoint: Checkpoint, seed: int) -> tuple[Tensor, Tensor]:
    config, generator = checkpoint.config, torch.Generator().manual_seed(seed)
    tokens = torch.randint(config.vocab_size, (2, config.seq_len), generator=generator)
    return tokens, torch.randn(2, config.puzzle_emb_ndim, generator=generator)


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
@settings(deadline=None, max_examples=12)
def test_a_crop_is_the_canvas_with_attention_to_its_positions_only(
    name: str, data: st.DataObject
) -> None:
    checkpoint = open_checkpoint(GOLDEN / name)
    side = data.draw(st.integers(1, checkpoint.config.canvas - 1))
    tokens, rows = inputs_of(checkpoint, data.draw(st.integers(0, 9)))
    positions = positions_of(checkpoint, side)
    cells = positions[checkpoint.config.puzzle_emb_len :] - checkpoint.config.puzzle_emb_len
    whole = checkpoint.load_network(seeing_only(positions), CPU, torch.float32)
    cropped = checkpoint.load_network(SDPA, CPU, torch.float32)

    z_H, logits, q_halt = run(whole, tokens, rows)
    found_z_H, found_logits, found_q_halt = run(cropped, tokens[:, cells], rows)

    # A recurrent network amplifies rounding at single positions: what counts is the whole.
    for found, wanted in (
        (found_z_H, z_H[:, positions]),
        (found_logits, logits[:, cells]),
        (found_q_halt, q_halt),
    ):
        error = (found - wanted).square().mean().sqrt() / wanted.square().mean().sqrt()
        assert_within(error.item(), 1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_positions_on_a_crop_are_those_of_the_canvas_and_no_others(name: str) -> None:
    # Were they counted within the crop, cells below the first row would stand elsewhere.
    checkpoint = open_checkpoint(GOLDEN / name)
    network = checkpoint.load_network(SDPA, CPU, torch.float32)
    tokens, rows = inputs_of(checkpoint, 0)
    positions = positions_of(checkpoint, 3)

    if network.config.pos_encodings == "rope":
        tables = network.cos_sin(len(positions))
        assert tables is not None
        assert torch.equal(tables[0], network.rotary_cos[positions])
        assert torch.equal(tables[1], network.rotary_sin[positions])
    else:
        e = network.embed(tokens, rows)
        cells = positions[network.config.puzzle_emb_len :] - network.config.puzzle_emb_len
        assert torch.equal(network.embed(tokens[:, cells], rows), e[:, positions])


@pytest.mark.parametrize("name", NAMES)
def test_a_crop_of_the_whole_canvas_uses_the_tables_as_they_are(name: str) -> None:
    network = open_checkpoint(GOLDEN / name).load_network(SDPA, CPU, torch.float32)
    length = network.config.num_positions
    tables = network.cos_sin(length)
    if tables is not None:
        assert tables[0] is network.rotary_cos
        assert tables[1] is network.rotary_sin
    for whole, sized in zip(
        network.fresh_state(3), network.fresh_state(3, network.config.seq_len), strict=True
    ):
        assert torch.equal(whole, sized)
        assert whole.shape == (3, length, network.config.hidden_size)
