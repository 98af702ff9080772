"""Arithmetic: the precision and the products of a network, as requested or as measured."""

import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass

import torch
from torch import Tensor

from hrm_core.checkpoint.folder import Checkpoint
from hrm_core.device.device import default_precision, lacks_half_precision
from hrm_core.device.measured import MeasuredChoices
from hrm_core.errors import EngineError
from hrm_core.model.attention import Attend
from hrm_core.model.config import ModelConfig
from hrm_core.model.layers import Block, has_onednn, use_onednn, widen_products
from hrm_core.model.network import Network

PRECISIONS = ("float32", "bfloat16", "float16")
# A float32 checkpoint is computed in bfloat16 only where that is faster by this factor.
MIN_GAIN = 1.25
# Positions in a measurement: enough for products to reach their speed.
NUM_POSITIONS = 256
NUM_ROUNDS = 20
MIN_ROUNDS = 3
LIMIT_S = 0.3
# Narrower networks are not worth a measurement.
MIN_MEASURED_WIDTH = 64


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """The dtype of states and results, and how products are computed.

    `is_wide`: half-precision numbers are multiplied in float32 and the results rounded.
    `is_onednn`: oneDNN multiplies instead of the library that torch would choose.
    """

    precision: str
    is_wide: bool = False
    is_onednn: bool = False

    @property
    def name(self) -> str:
        """Its name in records."""
        flags = {"wide": self.is_wide, "onednn": self.is_onednn}
        return " ".join([self.precision, *(name for name, is_set in flags.items() if is_set)])

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of states and results."""
        dtype: torch.dtype = getattr(torch, self.precision)
        return dtype

    @property
    def attention_dtype(self) -> torch.dtype:
        """The dtype that attention computes in."""
        return torch.float32 if self.is_wide else self.dtype

    def load(self, checkpoint: Checkpoint, attend: Attend, device: torch.device) -> Network:
        """Load a checkpoint's trunk onto a device, in this arithmetic."""
        return checkpoint.load_network(
            attend, device, self.dtype, is_wide=self.is_wide, is_onednn=self.is_onednn
        )


def choose_arithmetic(
    precision: str | None,
    config: ModelConfig,
    device: torch.device,
    measured: MeasuredChoices,
    *,
    trains: bool = False,
) -> Arithmetic:
    """Return the given precision with the products that are fastest on this processor.

    `precision` None is the checkpoint's own; `auto` is that too, or bfloat16 for a float32
    checkpoint on a CPU where it is measured to be clearly faster.

    Raises: EngineError for an unknown precision.
    """
    if precision not in (None, "auto", *PRECISIONS):
        raise EngineError(
            f"unknown precision {precision!r}: use auto, {', '.join(PRECISIONS[:-1])} or "
            f"{PRECISIONS[-1]}"
        )
    own = str(precision)
    if precision in (None, "auto"):
        own = default_precision(config.forward_dtype, device)
    if device.type != "cpu":
        return Arithmetic(own)
    if config.hidden_size < MIN_MEASURED_WIDTH:
        return Arithmetic(own, is_wide=own != "float32" and lacks_half_precision(device))
    precisions = (
        {own: None, "bfloat16": None} if precision == "auto" and own == "float32" else [own]
    )
    candidates = {one.name: one for name in precisions for one in _ways(name)}
    shape = f"{config.hidden_size} wide, expansion {config.expansion:g}"
    if config.mlp_t:
        shape += f", mixing {config.num_positions} positions"
    what = f"{'training' if trains else 'inference'} in {' or '.join(precisions)}, {shape}"
    chosen = measured.choose(
        what, candidates, lambda: _fastest(_measure(candidates, config, trains), own)
    )
    return candidates[chosen]


def _ways(precision: str) -> Iterator[Arithmetic]:
    for is_wide in (False,) if precision == "float32" else (False, True):
        for is_onednn in (False, True) if has_onednn() else (False,):
            yield Arithmetic(precision, is_wide, is_onednn)


def _fastest(seconds: Mapping[str, float], own: str) -> str:
    """Return the fastest name; a precision other than the checkpoint's must gain enough."""
    return min(
        seconds,
        key=lambda name: seconds[name] * (1.0 if name.split()[0] == own else MIN_GAIN),
    )


def _measure(
    candidates: Mapping[str, Arithmetic], config: ModelConfig, trains: bool
) -> dict[str, float]:
    """Time a block without its attention in each arithmetic, taking turns; omit what fails."""
    generator = torch.Generator().manual_seed(0)
    blocks = {}
    for name, arithmetic in candidates.items():
        # Whatever this processor or this torch cannot prepare is omitted.
        with suppress(RuntimeError):
            blocks[name] = _make_block(arithmetic, config, trains, generator)
    length = config.num_positions if config.mlp_t else min(config.num_positions, NUM_POSITIONS)
    shape = (max(1, NUM_POSITIONS // length), length, config.hidden_size)
    x = torch.randn(shape, generator=generator)
    seconds: dict[str, float] = {}
    started = time.monotonic()
    for num_rounds in range(NUM_ROUNDS):
        if num_rounds >= MIN_ROUNDS and time.monotonic() - started > LIMIT_S:
            break
        for name, block in list(blocks.items()):
            try:
                taken = _time(block, x.to(candidates[name].dtype), trains)
            except RuntimeError:  # this processor or this torch lacks the product
                del blocks[name]
                continue
            seconds[name] = min(taken, seconds.get(name, taken))
    return {name: seconds[name] for name in blocks}


def _make_block(
    arithmetic: Arithmetic, config: ModelConfig, trains: bool, generator: torch.Generator
) -> Block:
    block = Block(config)
    for param in block.parameters():
        torch.nn.init.normal_(param, std=0.02, generator=generator)
    if not trains:
        block.to(arithmetic.dtype).eval().requires_grad_(False)
    if arithmetic.is_wide:
        widen_products(block)
    if arithmetic.is_onednn:
        use_onednn(block, packs=not trains)
    return block


def _time(block: Block, x: Tensor, trains: bool) -> float:
    x.requires_grad_(trains)
    with torch.inference_mode(not trains), torch.set_grad_enabled(trains):
        started = time.thread_time()
        out = block(x, None, lambda q, k, v: v)
        if trains:
            out.sum().backward()
        return time.thread_time() - started
