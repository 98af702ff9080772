"""Decisions from the measurements of a tuning."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from bench.report import Cell, Section
from bench.tune.plan import Plan
from hrm_core.device.measured import GOOD_ENOUGH, Tuned, choose_slots

Row = Mapping[str, Any]
Measured = Mapping[str, Sequence[Row]]

COLUMNS = ("mode", "slots", "step s", "samples/s", "TFLOP/s", "% of peak")


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
    sections = [Section("Step", COLUMNS, tuple(_step_rows(measured.get("slots", ()), peaks)))]
    for stage, rows in measured.items():
        if stage == "slots" or not rows:
            continue
        columns = tuple(dict.fromkeys(name for row in rows for name in row))
        cells = tuple(tuple(row.get(name) for name in columns) for row in rows)
        sections.append(Section(stage.capitalize(), columns, cells))
    return sections


def _step_rows(rows: Sequence[Row], peaks: Mapping[str, float]) -> list[tuple[Cell, ...]]:
    found: list[tuple[Cell, ...]] = []
    for row in rows:
        if "samples_per_s" not in row:
            found.append((row["mode"], row["slots"], row.get("failed"), None, None, None))
            continue
        # Half precision may run as float32 products, so the faster of both peaks is the measure.
        peak = max(peaks.get(row["precision"], 0.0), peaks.get("float32", 0.0))
        share = 100 * row["tflops"] / peak if peak else None
        found.append(
            (
                row["mode"],
                row["slots"],
                row["step_s"],
                row["samples_per_s"],
                row["tflops"],
                share,
            )
        )
    return found
