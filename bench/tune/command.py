"""The command `python -m bench tune`."""

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.report import write_record
from bench.tune.choosing import choose, passes, tables, with_choices
from bench.tune.plan import Plan
from bench.tune.running import run_stage
from bench.tune.stages import STAGES
from hrm_core import HRMCoreError
from hrm_core.device.measured import tuned_path, write_tuned
from service.runtime.folders import current_state_folder, state_subfolder

DEFAULT_MINUTES = 30.0
MIN_LEFT_S = 5.0


def main(arguments: Sequence[str]) -> int:
    """Measure, keep the measurements, and write the record that engines use.

    Exit codes: 0 good; 1 the accuracy gate failed, or too little was measured; 2 bad input.
    """
    options = _parser().parse_args(arguments)
    plan = Plan(
        device=options.device,
        checkpoint=_absolute(options.checkpoint),
        reference=_absolute(options.reference),
        precision=options.precision,
    )
    try:
        checkpoint, device = plan.open(), plan.where()
    except HRMCoreError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    plan = replace(plan, precision=plan.precision_of(checkpoint))
    path = tuned_path(state_subfolder("tuned", options.state_folder), device, checkpoint.config)
    out: Path = options.out or path.with_suffix("")
    out.parent.mkdir(parents=True, exist_ok=True)
    lines = out.with_name(f"{out.name}.jsonl")
    lines.unlink(missing_ok=True)
    deadline = time.monotonic() + 60 * options.minutes
    measured: dict[str, list[dict[str, Any]]] = {}
    for name, (_, limit_s) in STAGES.items():
        if options.stage and name not in options.stage:
            continue
        left_s = deadline - time.monotonic()
        if left_s < MIN_LEFT_S:
            print(f"{name}: skipped, the time is over")
            continue
        measured[name], ended = run_stage(name, plan, lines, min(limit_s, left_s))
        print(f"{name}: {len(measured[name])} measurements, {ended}", flush=True)
        if name == "gate" and ended.startswith("failed"):
            measured[name].append({"passed": False, "notes": ended})
        plan = with_choices(plan, name, measured[name])
    sections = tables(measured)
    facts = next((row for row in measured.get("facts", ()) if "device" in row), {})
    write_record(out, facts, sections)
    print("", out.with_name(f"{out.name}.md").read_text(encoding="utf-8"), sep="\n")
    tuned = choose(measured.get("slots", ()), is_compiled=device.type == "cuda")
    if tuned is None:
        print("Nothing is decided: the stage `slots` measured nothing.", file=sys.stderr)
        return 1
    if not passes(measured):
        print("Nothing is decided: the accuracy gate failed, see above.", file=sys.stderr)
        return 1
    tuned = replace(tuned, kernels=plan.kernels)
    write_tuned(path, tuned, {"record": out.name, "samples_per_s": measured["slots"]})
    kernels = ", ".join(tuned.kernels) or "none"
    print(f"{tuned.num_slots} slots, attention {plan.attention}, fused kernels {kernels}: {path}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench tune",
        description="Measure what is fastest on this device, and let engines go by it.",
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument(
        "--checkpoint", type=Path, help="tune for its architecture; default: the published one"
    )
    parser.add_argument("--reference", type=Path, help="a checkout of sapientinc/HRM")
    parser.add_argument("--precision", choices=("float32", "bfloat16", "float16"))
    parser.add_argument("--minutes", type=float, default=DEFAULT_MINUTES, help="of the sitting")
    parser.add_argument("--stage", action="append", choices=tuple(STAGES), help="only these")
    parser.add_argument("--out", type=Path, help="write OUT.jsonl, .json and .md; default: next to")
    parser.add_argument("--state-folder", type=Path, default=current_state_folder())
    return parser


def _absolute(path: Path | None) -> str | None:
    return None if path is None else str(path.absolute())
