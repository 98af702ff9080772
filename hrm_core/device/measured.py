"""What was measured to be fastest on this machine, kept in files for later starts."""

import hashlib
import json
import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from hrm_core.device.device import name_device, name_processor, use_threads
from hrm_core.files import write_text
from hrm_core.model.config import ModelConfig

FILE_NAME = "choices.json"
# Fewer slots answer sooner, which is worth more than the last few per cent of the rate.
GOOD_ENOUGH = 0.97
# What distinguishes processors in Linux's /proc/cpuinfo, on x86-64 and on ARM.
_IDENTITY = ("cpu family", "model", "stepping", "flags", "CPU implementer", "CPU part", "Features")


class MeasuredChoices:
    """The names of the fastest candidates, by what was measured.

    `folder` None keeps nothing. A file that cannot be read or written only costs a measurement.
    """

    def __init__(self, folder: Path | None) -> None:
        self._path = folder and folder / FILE_NAME

    def choose(self, what: str, names: Collection[str], measure: Callable[[], str]) -> str:
        """Return the kept choice if it is one of `names`, else measure and keep it.

        `what` describes the choice and all that it depends on except the processor, which is added.
        """
        key = f"{what}; {describe_processor()}"
        kept = self._read().get(key)
        if kept in names:
            return str(kept)
        with one_thread():
            chosen = measure()
        self._write(self._read() | {key: chosen})
        return chosen

    def _read(self) -> dict[str, object]:
        try:
            found = json.loads(self._path.read_bytes()) if self._path else {}
        except (OSError, ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}

    def _write(self, choices: dict[str, object]) -> None:
        if self._path is None:
            return
        with suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            text = json.dumps(choices, indent=1, sort_keys=True)
            write_text(self._path, text, is_shared=True)


@contextmanager
def one_thread() -> Iterator[None]:
    """Use one thread, so that its own clock excludes the time of other processes."""
    before = torch.get_num_threads()
    use_threads(1)
    try:
        yield
    finally:
        use_threads(before)


def describe_processor() -> str:
    """Describe the processor, the instruction sets in use and torch."""
    return ", ".join(
        (
            f"{name_processor()} {_digest_processor()}",
            torch.backends.cpu.get_cpu_capability(),
            f"oneDNN up to {os.environ.get('ONEDNN_MAX_CPU_ISA', 'all')}",
            f"torch {torch.__version__}",
        )
    )


def _digest_processor() -> str:
    """Return a digest of the processor's model and features; its name does not identify it."""
    try:
        first = Path("/proc/cpuinfo").read_text(encoding="utf-8").partition("\n\n")[0]
    except OSError:
        first = ""
    facts = {
        name.strip(): value.strip()
        for name, _, value in (line.partition(":") for line in first.splitlines())
    }
    return hashlib.sha256(repr([facts.get(name) for name in _IDENTITY]).encode()).hexdigest()[:8]


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
