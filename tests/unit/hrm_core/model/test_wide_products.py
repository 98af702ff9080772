"""A half-precision network on a processor without half-precision products."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tolerances import assert_within

from hrm_core import open_checkpoint
from hrm_core.checkpoint.agreement import MAX_RMS_RATIO
from hrm_core.device.device import lacks_half_precision
from hrm_core.model.attention_choice import load_backend
from hrm_core.model.layers import widen_products
from hrm_core.model.network import Network, build_network

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def networks(golden_folder: Path, one_thread: None) -> tuple[Network, Network]:
    """Return one network twice: multiplying in bfloat16, and in float32."""
    checkpoint = open_checkpoint(golden_folder / "hrm-bf16")
    made = []
    for is_wide in (False, True):
        network = build_network(checkpoint.config, load_backend("sdpa"), torch.bfloat16, meta=True)
        trunk = {name: value.bfloat16() for name, value in checkpoint.trunk.items()}
        network.load_state_dict(trunk, assign=True)
        if is_wide:
            widen_products(network)
        made.append(network.eval().requires_grad_(False))
    return made[0], made[1]


def rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.square(values).mean()))


def test_wide_products_are_as_close_to_float32_as_plain_ones(
    golden_folder: Path, networks: tuple[Network, Network]
) -> None:
    folder = golden_folder / "hrm-bf16"
    rows = open_checkpoint(folder).rows
    with np.load(folder / "segments.npz") as stored:
        golden = dict(stored)
    tokens = torch.from_numpy(golden["inputs"])
    puzzle_rows = torch.from_numpy(rows.gather(golden["puzzle_identifiers"]))
    for segment, exact in enumerate(golden["logits_float32"]):
        z_H, z_L = (
            torch.from_numpy(golden[name][segment]).bfloat16()
            for name in ("z_H_before", "z_L_before")
        )
        plain, wide = (
            network.read_logits(network.segment(z_H, z_L, network.embed(tokens, puzzle_rows))[0])
            for network in networks
        )
        assert plain.dtype == wide.dtype == torch.bfloat16
        plain_error, wide_error = (rms(x.float().numpy() - exact) for x in (plain, wide))
        assert wide_error > 0
        # Both round at the same places: one may stray further by chance, but not by a bit.
        assert_within(wide_error, MAX_RMS_RATIO * plain_error)
        assert_within(rms((plain - wide).float().numpy()), MAX_RMS_RATIO * plain_error)


def test_wide_weights_are_the_rounded_ones(networks: tuple[Network, Network]) -> None:
    plain, wide = (network.state_dict() for network in networks)
    for name, value in plain.items():
        assert torch.equal(value.float(), wide[name].float()), name
    assert wide["lm_head.weight"].dtype == torch.float32


def test_training_keeps_exact_weights_and_rounds_them_at_use(
    networks: tuple[Network, Network],
) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(5, 32, generator=generator).bfloat16()
    layer = networks[1].lm_head
    exact = layer.weight.detach() * (1 + 1e-4 * torch.randn(12, 32, generator=generator))
    rounded = layer(x)
    with torch.no_grad():
        before = layer.weight.clone()
        layer.weight.copy_(exact)
    layer.train()
    try:
        found = layer(x)
        assert torch.equal(layer.weight, exact)
        expected = torch.nn.functional.linear(x.float(), exact.bfloat16().float()).bfloat16()
        assert torch.equal(found, expected)
    finally:
        layer.eval()
        with torch.no_grad():
            layer.weight.copy_(before)
    assert torch.equal(layer(x), rounded)


def test_a_loaded_half_precision_network_multiplies_in_whatever_the_processor_is_good_at(
    golden_folder: Path,
) -> None:
    checkpoint = open_checkpoint(golden_folder / "hrm-bf16")
    network = checkpoint.load_network(load_backend("sdpa"), CPU, torch.bfloat16)
    expected = torch.float32 if lacks_half_precision(CPU) else torch.bfloat16
    assert network.lm_head.weight.dtype == expected
    assert network.lm_head.is_wide == lacks_half_precision(CPU)
    full = checkpoint.load_network(load_backend("sdpa"), CPU, torch.float32)
    assert not full.lm_head.is_wide
