"""Records of what was measured to be fastest for one architecture on one device."""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from hrm_core.device.device import name_device
from hrm_core.files import write_text
from hrm_core.model.config import ModelConfig

# Fewer slots answer sooner, which is worth more than the last few per cent of the rate.
GOOD_ENOUGH = 0.97


@dataclass(frozen=True, slots=True)
class Tuned:
    """Settings that a measurement chose, for one precision.

    `kernels` are the fused kernels that were faster, `is_captured` whether steps recorded as a CUDA
    graph were. `source` is what measured: an engine's start, or `bench tune`.
    """

    precision: str
    num_slots: int
    source: str
    is_captured: bool = False
    kernels: tuple[str, ...] = ()


def choose_slots(rates: Mapping[int, float]) -> int:
    """Return the smallest number of slots within 3 % of the best rate.

    Units: samples a second, by number of slots.
    """
    best = max(rates.values())
    return min(slots for slots, rate in rates.items() if rate >= GOOD_ENOUGH * best)


def tuned_path(folder: Path, device: torch.device, config: ModelConfig) -> Path:
    """Return the path of the record of a device, this torch and an architecture."""
    mixing = "mlp" if config.mlp_t else f"h{config.num_heads}"
    architecture = (
        f"{config.architecture} {config.hidden_size}x{config.num_positions} {mixing} "
        f"x{config.expansion:g} l{config.H_layers}-{config.L_layers} "
        f"c{config.H_cycles}-{config.L_cycles}"
    )
    parts = (name_device(device), torch.__version__, architecture)
    return folder / f"{'-'.join(map(_slug, parts))}.json"


def read_tuned(path: Path, precision: str) -> Tuned | None:
    """Read a record; None where there is none of this precision and form."""
    try:
        found = Tuned(**json.loads(path.read_bytes())["tuned"])
        found = replace(found, kernels=tuple(found.kernels))
        is_usable = found.precision == precision and int(found.num_slots) >= 1
    except (OSError, ValueError, KeyError, TypeError):
        return None  # then it is measured again
    return found if is_usable else None


def write_tuned(path: Path, tuned: Tuned, measured: Mapping[str, Any]) -> None:
    """Write a record in one move, with the measurements behind it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {"tuned": asdict(tuned), "measured": dict(measured)}
    write_text(path, json.dumps(document, indent=1) + "\n", is_shared=True)


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9.]+", "-", text.lower()).strip("-")
