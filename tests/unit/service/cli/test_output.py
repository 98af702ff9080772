"""What commands print beside their results: progress off a terminal, and errors of a service."""

import sys
from importlib import import_module
from pathlib import Path

import pytest

from service.cli import main as run_main
from service.cli import output
from service.cli.output import progress_line, time_left
from service.cli.solve import _description
from service.cli.train import RECIPE, default_warmup
from service.client import ServiceProblem
from service.wire.job import AdaptationProgress, Progress


def test_off_a_terminal_progress_is_printed_from_time_to_time(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(output.time, "monotonic", lambda: now[0])

    with progress_line("training", total=90) as line:
        for step in range(0, 90, 10):
            line.update("loss [1]", completed=step, line=f"step {step}: loss [1]")
            now[0] += 10.0

    printed = [one for one in capsys.readouterr().err.splitlines() if one.strip()]
    assert printed == [f"step {step}: loss [1]" for step in (0, 30, 60)]


@pytest.mark.parametrize(("code", "is_hinted"), [("unauthorized", True), ("not_found", False)])
def test_a_refusal_for_want_of_a_key_names_the_variable(
    code: str,
    is_hinted: bool,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(_name: str) -> None:
        raise ServiceProblem(status=401, code=code, detail="an API key is needed")

    # The package has a function of the module's name.
    monkeypatch.setattr(import_module("service.cli.main"), "load_command", refuse)
    monkeypatch.setattr(sys, "argv", ["hrm-arc", "score"])

    with pytest.raises(SystemExit) as ended:
        run_main()

    assert ended.value.code == 2
    assert ("HRM_ARC_API_KEY" in capsys.readouterr().err) == is_hinted


def test_warm_up_is_a_tenth_of_the_steps_or_what_the_run_began_with(tmp_path: Path) -> None:
    assert default_warmup(tmp_path, 900) == 90
    assert default_warmup(tmp_path, 5) == 1
    assert default_warmup(tmp_path, 10**6) == RECIPE.warmup_steps
    (tmp_path / "all_config.yaml").write_text("training: {warmup_steps: 7}", encoding="utf-8")
    assert default_warmup(tmp_path, 900) == 7
    (tmp_path / "all_config.yaml").write_text("arch: {}", encoding="utf-8")
    assert default_warmup(tmp_path, 900) == 90


def test_the_time_left_is_reported_in_minutes_once_it_is_known() -> None:
    assert time_left(71.6, 120.0) == "about 1:12 of 2:00 min left"
    assert time_left(0.0, 3600.0) == "about 0:00 of 60:00 min left"
    assert time_left(None, 120.0) is time_left(1.0, None) is None


def adapting(remaining_s: float | None, **more: object) -> Progress:
    document = {
        **{"checkpoint": "base", "phase": "all", "used_share": 0.4, "steps": 12, "seconds": 48.0},
        **{"expected_s": 120.0, "remaining_s": remaining_s, **more},
    }
    adaptation = AdaptationProgress.model_validate(document)
    return Progress(outcomes=0, asked=0, decided=0, test_inputs=1, adaptation=adaptation)


def test_the_bar_of_a_solve_shows_how_long_its_adaptations_take() -> None:
    assert _description([adapting(None)]) == "adapting base (40% of its budget)"
    assert _description([adapting(72.0, held_out_share=0.5)]) == (
        "adapting base (40% of its budget, held out 50% right, about 1:12 of 2:00 min left)"
    )
    assert _description([adapting(10.0), adapting(72.0), adapting(None)]) == (
        "adapting to 3 puzzles (about 1:12 of 2:00 min left)"
    )
