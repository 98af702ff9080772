"""The plan of a tuning, passed to its stages as JSON, and decisions from their measurements."""

import json
import math
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

import torch

from bench.model import full_size_config, synthetic_checkpoint
from bench.report import Section
from hrm_core import (
    Checkpoint,
    CropEngine,
    Engine,
    EngineConfig,
    can_compile,
    open_checkpoint,
    pick_device,
)
from hrm_core.device.arithmetic import choose_arithmetic
from hrm_core.device.measured import (
    GOOD_ENOUGH,
    MeasuredChoices,
    Tuned,
    choose_slots,
    tuned_path,
    write_tuned,
)

# A measurement of a stage, a flat JSON object; and those of a sitting by stage.
Row = dict[str, Any]
Measured = Mapping[str, Sequence[Row]]


@dataclass(frozen=True, slots=True)
class Plan:
    """The device and the network; `checkpoint` None is the published network with random weights.

    `precision` None: the checkpoint's own. `attention` and `slots` are what earlier stages chose.
    """

    device: str
    checkpoint: str | None = None
    reference: str | None = None
    precision: str | None = None
    attention: str = "auto"
    slots: int | None = None
    is_captured: bool = False
    kernels: tuple[str, ...] = ()

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Read what `text` returned."""
        values = json.loads(text)
        return cls(**values | {"kernels": tuple(values["kernels"])})

    def text(self) -> str:
        """Return the plan as one command-line argument."""
        return json.dumps(asdict(self))

    def open(self) -> Checkpoint:
        """Open the checkpoint, or make a synthetic one."""
        if self.checkpoint is not None:
            return open_checkpoint(Path(self.checkpoint))
        return synthetic_checkpoint(full_size_config(num_rows=8), seed=0)

    @contextmanager
    def engine(self, checkpoint: Checkpoint, num_slots: int) -> Iterator[Engine]:
        """Yield an engine with the choices of the stages so far."""
        device, precision = self.where(), self.precision_of(checkpoint)
        chosen = Tuned(precision, num_slots, "bench tune", self.is_captured, self.kernels)
        with tempfile.TemporaryDirectory() as folder:
            write_tuned(tuned_path(Path(folder), device, checkpoint.config), chosen, {})
            yield engine_kind(checkpoint)(
                checkpoint,
                EngineConfig(
                    device,
                    num_slots=num_slots,
                    precision=precision,
                    attention=self.attention,
                    compile=device.type == "cuda" and can_compile(device),
                    tuned_folder=Path(folder),
                ),
            )

    def where(self) -> torch.device:
        """Return the device."""
        return pick_device(self.device)

    def precision_of(self, checkpoint: Checkpoint) -> str:
        """Return the precision that an engine would use."""
        measured = MeasuredChoices(None)
        asked = self.precision or "auto"
        return choose_arithmetic(asked, checkpoint.config, self.where(), measured).precision

    def dtype_of(self, checkpoint: Checkpoint) -> torch.dtype:
        """Return that precision as torch names it."""
        dtype: torch.dtype = getattr(torch, self.precision_of(checkpoint))
        return dtype


def engine_kind(checkpoint: Checkpoint) -> type[Engine]:
    """Return the kind of engine that runs a checkpoint."""
    return CropEngine if checkpoint.config.crop else Engine


def failed(problem: RuntimeError) -> Row:
    """Return what a measurement gives that torch refused."""
    return {"failed": str(problem).splitlines()[0]}


def with_choices(plan: Plan, stage: str, rows: Sequence[Row]) -> Plan:
    """Return the plan for the stages after this one, with what it decided."""
    if stage == "attention":
        own = [row for row in rows if row.get("is_own") and "seconds" in row]
        if own and plan.attention == "auto":
            return replace(plan, attention=min(own, key=lambda row: row["seconds"])["attention"])
    if stage == "slots":
        chosen = choose(rows, is_compiled=plan.where().type == "cuda")
        if chosen is not None:
            return replace(plan, slots=chosen.num_slots, is_captured=chosen.is_captured)
    if stage == "kernels":
        return replace(plan, kernels=choose_kernels(rows))
    return plan


def choose_kernels(rows: Sequence[Row]) -> tuple[str, ...]:
    """Return the set of fused kernels with the best rate, if it beats none by more than chance."""
    rates = {tuple(row["kernels"]): row["samples_per_s"] for row in rows if "samples_per_s" in row}
    best = max(rates, key=lambda names: rates[names], default=())
    return best if GOOD_ENOUGH * rates.get(best, 0.0) > rates.get((), math.inf) else ()


def choose(rows: Sequence[Row], *, is_compiled: bool) -> Tuned | None:
    """Decide the number of slots, and whether steps are captured; None without measurements.

    `is_compiled`: whether an engine on this device compiles its step where it can.
    """
    modes: dict[str, dict[int, float]] = {}
    for row in rows:
        if "samples_per_s" in row:
            modes.setdefault(row["mode"], {})[row["slots"]] = row["samples_per_s"]
    base = "compiled" if is_compiled and "compiled" in modes else "plain"
    if base not in modes:
        return None
    captured = modes.get(f"{base}, captured", {})
    # Recording costs memory and time at each start, so its gain must exceed chance.
    is_captured = bool(captured) and GOOD_ENOUGH * max(captured.values()) > max(
        modes[base].values()
    )
    precision = next(row["precision"] for row in rows if "precision" in row)
    return Tuned(
        precision=precision,
        num_slots=choose_slots(captured if is_captured else modes[base]),
        source="bench tune",
        is_captured=is_captured,
    )


def passes(measured: Measured) -> bool:
    """Return whether no check of the accuracy gate failed."""
    return all(row.get("passed", True) for row in measured.get("gate", ()))


def tables(measured: Measured) -> list[Section]:
    """Return tables: the step with its share of the measured peak, the others unchanged."""
    peaks = {row["peak"]: row["tflops"] for row in measured.get("facts", ()) if "tflops" in row}
    step_rows = [_step_row(row, peaks) for row in measured.get("slots", ())]
    others = [
        Section(stage.capitalize(), rows)
        for stage, rows in measured.items()
        if stage != "slots" and rows
    ]
    return [Section("Step", step_rows), *others]


def _step_row(row: Row, peaks: Mapping[str, float]) -> Row:
    # Half precision may run as float32 products, so the faster of both peaks is the measure.
    peak = max(peaks.get(row["precision"], 0.0), peaks.get("float32", 0.0))
    return {
        "mode": row["mode"],
        "slots": row["slots"],
        "step s": row.get("step_s", row.get("failed")),
        "samples/s": row.get("samples_per_s"),
        "TFLOP/s": row.get("tflops"),
        "% of peak": 100 * row["tflops"] / peak if peak and "tflops" in row else None,
    }
