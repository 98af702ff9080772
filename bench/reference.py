"""Comparison with the reference implementation's network: same weights and inputs, in turns.

It runs from a checkout of its repository, and is not part of this one.
"""

import importlib
import importlib.util
import sys
import tempfile
import types
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch
import torch.nn.functional as F
import yaml
from torch import Tensor

from bench.clock import time_in_turn
from bench.model import ARCH, full_size_config, relative_error
from bench.report import Row, Section, verdict
from hrm_core import Checkpoint, can_compile, open_checkpoint
from hrm_core.device.arithmetic import choose_arithmetic
from hrm_core.device.measured import MeasuredChoices
from hrm_core.model.attention_choice import choose

NUM_ROWS = 8
BATCH = {"cpu": 2, "cuda": 64}
ROUNDS = {"cpu": 5, "cuda": 10}
MIN_RATIO = 1.4
FLASH_MODULES = ("flash_attn_interface", "flash_attn")
Step = Callable[[], tuple[Tensor, Tensor]]


def measure_reference(path: Path, device: torch.device, with_compile: bool = True) -> list[Section]:
    """Time the reference's segment and ours in turn, and compare what they give.

    Raises: FileNotFoundError when there is no reference network at the path; ImportError when it
    does not import.
    """
    build = _load_reference(path)
    torch.manual_seed(0)
    theirs = _make_theirs(build, "bfloat16", device)
    exact = _make_theirs(build, "float32", device)
    exact.load_state_dict(theirs.state_dict())
    inputs = _make_inputs(device)
    with tempfile.TemporaryDirectory() as folder:
        ours = _open_as_ours(Path(folder), theirs)
        steps = (_their_step(theirs, inputs), _our_step(ours, device, inputs))
        with torch.inference_mode():
            sections = [_race("eager", steps, device)]
            if with_compile and can_compile(device):
                torch.compiler.reset()
                compiled = tuple(torch.compile(step, dynamic=False) for step in steps)
                sections.append(_race("compiled", compiled, device))
            outputs = [step() for step in (*steps, _their_step(exact, inputs))]
    return [*sections, _compare(*outputs)]


def _race(mode: str, steps: tuple[Step, ...], device: torch.device) -> Section:
    theirs, ours = time_in_turn(steps, ROUNDS[device.type], device)
    pairs = list(zip(theirs.samples_s, ours.samples_s, strict=True))
    ratio = median(their_s / our_s for their_s, our_s in pairs)
    lines = [(number, *pair, pair[0] / pair[1]) for number, pair in enumerate(pairs, start=1)]
    columns = ("pair", "reference s", "ours s", "reference / ours")
    medians = ("median", theirs.median_s, ours.median_s, ratio)
    return Section(
        f"One bfloat16 segment of {BATCH[device.type]} samples on {device}, {mode}",
        [dict(zip(columns, line, strict=True)) for line in (*lines, medians)],
        (
            f"{ratio:.2f} times as fast as the reference (aim {MIN_RATIO:g}): "
            + verdict(ratio >= MIN_RATIO),
        ),
    )


def _compare(theirs: Any, ours: Any, exact: Any) -> Section:
    """Compare both with the reference in float32, from which half precision deviates."""
    rows: list[Row] = []
    for index, what in enumerate(("logits", "q")):
        our, their, right = ours[index], theirs[index], exact[index]
        rows.append(
            {
                "output": what,
                "ours - float32": relative_error(our, right),
                "reference - float32": relative_error(their, right),
                "ours - reference": relative_error(our, their, right),
            }
        )
    agreeing = (theirs[0].argmax(-1) == ours[0].argmax(-1)).float().mean().item()
    return Section(
        "Agreement after one segment: root mean square of differences, relative to the outputs",
        rows,
        (f"{agreeing:.2%} of the cells predict the same token (random weights: many near ties).",),
    )


def _load_reference(path: Path) -> Any:
    """Import the reference's module, with a substitute where FlashAttention is missing."""
    if not (path / "models" / "hrm" / "hrm_act_v1.py").is_file():
        raise FileNotFoundError(f"{path} is not a checkout of sapientinc/HRM: it has no models/hrm")
    if not any(importlib.util.find_spec(name) for name in FLASH_MODULES):
        substitute = types.ModuleType(FLASH_MODULES[-1])
        substitute.__dict__["flash_attn_func"] = _attend_like_flash
        sys.modules[FLASH_MODULES[-1]] = substitute
    sys.path.insert(0, str(path))
    try:
        module = importlib.import_module("models.hrm.hrm_act_v1")
    finally:
        sys.path.remove(str(path))
    return module


def _attend_like_flash(q: Tensor, k: Tensor, v: Tensor, causal: bool = False) -> Tensor:
    """Attend as FlashAttention is called: [B, S, heads, head_dim] in and out."""
    q, k, v = (x.transpose(1, 2) for x in (q, k, v))
    out = F.scaled_dot_product_attention(q, k, v, is_causal=causal)
    return out.transpose(1, 2).contiguous()


def _make_theirs(module: Any, precision: str, device: torch.device) -> Any:
    """Build the reference's model; parameters that start at zero get random values."""
    config = full_size_config(num_rows=NUM_ROWS)
    shapes = {
        "batch_size": BATCH[device.type],
        "seq_len": config.seq_len,
        "num_puzzle_identifiers": config.num_rows,
        "vocab_size": config.vocab_size,
    }
    settings = {key: value for key, value in ARCH.items() if key != "name"}
    model = module.HierarchicalReasoningModel_ACTV1(
        settings | shapes | {"forward_dtype": precision}
    ).to(device)
    with torch.no_grad():
        model.inner.q_head.weight.normal_(std=config.hidden_size**-0.5)
        model.inner.puzzle_emb.weights.normal_()
    return model.eval()


def _open_as_ours(folder: Path, theirs: Any) -> Checkpoint:
    """Save the reference's weights as it does, and open them as a published folder."""
    state = {f"_orig_mod.model.{name}": value.cpu() for name, value in theirs.state_dict().items()}
    torch.save(state, folder / "checkpoint")
    (folder / "all_config.yaml").write_text(yaml.safe_dump({"arch": ARCH}), encoding="utf-8")
    return open_checkpoint(folder)


def _make_inputs(device: torch.device) -> tuple[Tensor, Tensor]:
    """Draw tokens int32 [B, S] and row ids int32 [B]."""
    config = full_size_config(num_rows=NUM_ROWS)
    batch = BATCH[device.type]
    generator = torch.Generator().manual_seed(1)
    tokens = torch.randint(config.vocab_size, (batch, config.seq_len), generator=generator)
    row_ids = torch.randint(config.num_rows, (batch,), generator=generator)
    return tokens.to(device, torch.int32), row_ids.to(device, torch.int32)


def _their_step(model: Any, inputs: tuple[Tensor, Tensor]) -> Step:
    tokens, row_ids = inputs
    inner = model.inner
    batch = {"inputs": tokens, "puzzle_identifiers": row_ids}
    fresh = torch.ones(len(tokens), dtype=torch.bool, device=tokens.device)
    with torch.device(tokens.device):
        carry = inner.reset_carry(fresh, inner.empty_carry(len(tokens)))

    def step() -> tuple[Tensor, Tensor]:
        _, logits, q = inner(carry, batch)
        return logits.float(), torch.stack(q)

    return step


def _our_step(checkpoint: Checkpoint, device: torch.device, inputs: tuple[Tensor, Tensor]) -> Step:
    tokens, row_ids = inputs
    config = checkpoint.config
    shape = (len(tokens), config.num_positions, config.num_heads, config.head_dim)
    arithmetic = choose_arithmetic("bfloat16", config, device, MeasuredChoices(None))
    attend = choose("auto", shape, device, arithmetic.attention_dtype).attend
    network = arithmetic.load(checkpoint, attend, device)
    rows = torch.from_numpy(checkpoint.rows.gather(row_ids.cpu().tolist())).to(device)
    z_H, z_L = network.fresh_state(len(tokens))

    def step() -> tuple[Tensor, Tensor]:
        after_H, _ = network.segment(z_H, z_L, network.embed(tokens, rows))
        return network.read_logits(after_H).float(), torch.stack(network.read_q(after_H))

    return step
