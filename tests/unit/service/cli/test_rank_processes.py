"""The process that starts ranks: how it ends with them, and what it says."""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import typer

from service.cli import ranks
from service.cli.main import RANK_LOST_EXIT
from service.cli.ranks import STOPPED, count_devices, run_ranks
from service.runtime import devices

# Each rank runs its own argument.
PROGRAM = """
import os, signal, sys, time
exec(sys.argv[1 + int(os.environ["RANK"])])
"""
WAIT = "time.sleep(600)"

RunRanks = Callable[..., tuple[int, str]]


@pytest.fixture
def run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> RunRanks:
    """Return what runs a program in each rank; gives the exit code and what was shown."""
    monkeypatch.setattr(ranks, "PROGRAM", (sys.executable, "-c", PROGRAM))

    def started(*programs: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["hrm-arc", *programs])
        code = run_ranks(len(programs), tmp_path)
        return code, " ".join(capsys.readouterr().err.split())

    return started


def test_ranks_that_succeed_say_nothing(run: RunRanks) -> None:
    assert run("pass", "print('of a rank')") == (0, "")


def test_each_rank_knows_its_place(run: RunRanks) -> None:
    names = ["RANK", "LOCAL_RANK", "WORLD_SIZE"]

    def check(*expected: str) -> str:
        return f"sys.exit([os.environ[name] for name in {names}] != {list(expected)})"

    assert run(check("0", "0", "2"), check("1", "1", "2")) == (0, "")


def test_a_killed_rank_ends_all_with_its_reason(
    run: RunRanks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranks, "GRACE_S", 0.1)
    killed = "os.kill(os.getpid(), signal.SIGKILL)"
    ended = "Error: rank 1 of 3 ended by signal 9 (SIGKILL); "
    starts_over = "there is no snapshot yet: the same command starts over."
    assert run(WAIT, killed, WAIT) == (1, ended + starts_over)
    torch.save({"step": 70}, tmp_path / ".training_state.pt")
    assert run(WAIT, killed, WAIT) == (1, f"{ended}the same command continues from step 70.")


def test_the_rank_that_failed_is_named_not_those_that_lost_it(run: RunRanks) -> None:
    lost = f"sys.exit({RANK_LOST_EXIT})"
    code, said = run(lost, lost, "print('no such GPU'); sys.exit(2)")
    assert code == 2
    assert said.startswith("no such GPU Error: rank 2 of 3 ended with exit code 2; ")


def test_an_error_of_all_ranks_is_shown_once(run: RunRanks) -> None:
    failed = "print('bad input', file=sys.stderr); sys.exit(2)"
    # The first rank writes to the error stream of the test, which is not captured here.
    assert run(failed, failed) == (2, "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_the_ranks_in_order(run: RunRanks, number: signal.Signals) -> None:
    # A rank that is not ready to stop in order is ended by the signal.
    stops = f"""
signal.signal(signal.SIGTERM, lambda *_: sys.exit({STOPPED}))
os.kill({os.getpid()}, {int(number)})
{WAIT}"""
    assert run(stops, WAIT) == (STOPPED, "")


def test_a_signal_after_the_last_step_changes_nothing(run: RunRanks) -> None:
    finishes = f"""
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
os.kill({os.getpid()}, signal.SIGTERM)
{WAIT}"""
    assert run(finishes, "pass") == (0, "")


def test_devices_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "count_gpus", lambda: 4)
    assert [count_devices(*asked) for asked in ((None, "auto"), ("1", "cpu"), ("3", "cpu"))] == [
        *(1, 1, 3)
    ]
    assert count_devices("all", "auto") == count_devices("all", "cuda") == 4
    assert count_devices("all", "cpu") == 1
    for wrong in ("0", "-1", "some", ""):
        with pytest.raises(typer.BadParameter, match="give all, or a number"):
            count_devices(wrong, "auto")
