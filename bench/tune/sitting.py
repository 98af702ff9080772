"""A sitting of `python -m bench tune`: its stages in turn, the record, and what engines go by.

Each stage runs in a process of its own and for a limited time: `python -m bench.tune.sitting`.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.report import write_record
from bench.tune.gate import measure_gate, measure_permutation
from bench.tune.plan import Plan, Row, choose, passes, tables, with_choices
from bench.tune.products import measure_fp8, measure_products
from bench.tune.speeds import (
    measure_attention,
    measure_facts,
    measure_kernels,
    measure_slots,
    measure_training,
)
from hrm_core import HRMCoreError, can_compile
from hrm_core.device.measured import tuned_path, write_tuned
from service.runtime.folders import current_state_folder, state_subfolder

ROOT = Path(__file__).parents[2]
DEFAULT_MINUTES = 30.0
MIN_LEFT_S = 5.0
Stage = Callable[[Plan], Iterator[Row]]


def measure_reference(plan: Plan) -> Iterator[Row]:
    """Time the reference network's segment and ours in turn; skipped without its path."""
    from bench import reference

    if plan.reference is None:
        yield {"skipped": "give a checkout of sapientinc/HRM with --reference"}
        return
    device = plan.where()
    for section in reference.measure_reference(Path(plan.reference), device, can_compile(device)):
        for row in section.rows[-1:]:
            yield {"title": section.title, **row}


# With their limits in seconds. The most useful first, since the last are skipped when time runs
# out.
STAGES: dict[str, tuple[Stage, float]] = {
    "facts": (measure_facts, 120.0),
    "attention": (measure_attention, 180.0),
    "slots": (measure_slots, 600.0),
    "kernels": (measure_kernels, 300.0),
    "gate": (measure_gate, 300.0),
    "permutation": (measure_permutation, 120.0),
    "reference": (measure_reference, 300.0),
    "training": (measure_training, 300.0),
    "products": (measure_products, 300.0),
    "fp8": (measure_fp8, 120.0),
}


def tune(arguments: Sequence[str]) -> int:
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
    facts = next((row for row in measured.get("facts", ()) if "device" in row), {})
    write_record(out, facts, tables(measured))
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


def run_stage(name: str, plan: Plan, out: Path, limit_s: float) -> tuple[list[Row], str]:
    """Run a stage in a process; return its measurements, as far as it got, and how it ended.

    A stage's effects on the device end with its process. Measurements are appended to `out`.

    Units: limit_s in seconds.
    """
    out.touch()
    start = out.stat().st_size
    began = time.monotonic()
    command = [sys.executable, "-m", "bench.tune.sitting", name, plan.text(), str(out.absolute())]
    with out.with_suffix(".log").open("ab") as log:
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=log, stderr=log, start_new_session=True
        )
        try:
            code = process.wait(limit_s)
            ended = "done" if code == 0 else f"failed (exit code {code}, see {log.name})"
        except subprocess.TimeoutExpired:
            ended = f"exceeded its {limit_s:.0f} s"
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    content = out.read_bytes()[start:]
    with out.open("ab") as file:
        if content and not content.endswith(b"\n"):
            file.write(b"\n")  # the kill has torn the last line
        took = round(time.monotonic() - began, 1)
        file.write(json.dumps({"stage": name, "ended": ended, "seconds": took}).encode() + b"\n")
    return list(_rows(content.split(b"\n"))), ended


def _rows(lines: Iterable[bytes]) -> Iterator[Row]:
    for line in lines:
        try:
            row = json.loads(line)
        except ValueError:
            continue
        yield {name: value for name, value in row.items() if name != "stage"}


def measure_stage(name: str, plan: str, out: str) -> None:
    """Measure a stage in this process, appending each measurement to a file of JSON lines."""
    stage, _ = STAGES[name]
    with Path(out).open("a", encoding="utf-8") as file:
        for row in stage(Plan.from_text(plan)):
            file.write(json.dumps({"stage": name} | row) + "\n")
            file.flush()


if __name__ == "__main__":
    measure_stage(*sys.argv[1:])
