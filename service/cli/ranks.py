"""Training on several devices: one process, a rank, for each of them.

The ranks run the same command; torchrun starts them, or `--devices` does.
"""

import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen
from tempfile import TemporaryDirectory

import typer

from hrm_core import (
    STORE_VARIABLE,
    Ranks,
    has_ranks,
    join_ranks,
    snapshot_step,
    stay_on_this_host,
)
from service.cli.main import RANK_LOST_EXIT
from service.cli.output import console, notices, stop_on_signals
from service.runtime.devices import list_devices
from service.runtime.supervisor import PROGRAM
from service.runtime.tether import kill_tethered, start_tethered

# What the ranks have to end by themselves once one of them has ended.
GRACE_S = 10.0
STOPPED = 130  # the exit code of a training that was stopped and can be continued
_POLL_S = 0.1


def join_or_start(devices: str | None, device: str, folder: Path) -> tuple[Ranks, str]:
    """Join the ranks of this training in a folder; return them and this rank's own device.

    Without ranks, those that `devices` asks for are started, and this process ends as they do.

    Raises: typer.Exit; EngineError or TrainingError when they cannot be joined.
    """
    if not has_ranks():
        num_devices = count_devices(devices, device)
        if num_devices > 1:
            raise typer.Exit(run_ranks(num_devices, folder))
    ranks, own_device = join_ranks(device)
    if not ranks.is_first:
        console.quiet = notices.quiet = True
    return ranks, own_device


def count_devices(devices: str | None, device: str) -> int:
    """Return how many devices an option asks for; the CPU is one, unless a number is given.

    Raises: typer.BadParameter.
    """
    if devices == "all":
        return 1 if device == "cpu" else len(list_devices("auto"))
    if devices is not None and (not devices.isdecimal() or int(devices) < 1):
        raise typer.BadParameter(f"--devices {devices}: give all, or a number of devices")
    return int(devices or 1)


@dataclass(frozen=True, slots=True)
class _Rank:
    """A process; `log` holds the output of all but the first, which shows its own."""

    rank: int
    process: Popen[bytes]
    log: Path | None

    @property
    def signal(self) -> int | None:
        """The signal that ended it, if one did; as a launcher reports it, where there is one."""
        code = self.process.poll()
        if code is None or 0 <= code <= 128 or code == STOPPED:
            return None
        return -code if code < 0 else code - 128

    @property
    def was_stopped(self) -> bool:
        """Whether it ended as ranks do that are sent SIGTERM: in order, or before they trained."""
        is_usual = self.process.returncode in (STOPPED, RANK_LOST_EXIT)
        return is_usual or self.signal == signal.SIGTERM


def run_ranks(num: int, folder: Path) -> int:
    """Run this process's command in ranks, and return the exit code.

    A rank that ends before its time ends all. A signal stops all of them between two steps.
    """
    with stop_on_signals() as should_stop, _started(num) as ranks:
        is_stopping = False
        ends_at = None
        while any(one.process.poll() is None for one in ranks):
            if should_stop() and not is_stopping:
                is_stopping = True
                for one in ranks:
                    one.process.terminate()
            if ends_at is None and any(one.process.poll() for one in ranks):
                ends_at = time.monotonic() + GRACE_S
            if ends_at is not None and time.monotonic() > ends_at:
                break
            time.sleep(_POLL_S)
        # Those that still run are waiting for one that has ended.
        failed = [one for one in ranks if one.process.poll()]
        if is_stopping and all(one.was_stopped for one in failed):
            return STOPPED if ranks[0] in failed else 0
        return _report(failed, num, folder)


@contextmanager
def _started(num: int) -> Iterator[Sequence[_Rank]]:
    """Start the ranks, and end those that are left at the end."""
    with ExitStack() as stack:
        private = Path(stack.enter_context(TemporaryDirectory(prefix="hrm-arc-ranks-")))
        ranks: list[_Rank] = []
        try:
            for rank in range(num):
                log = private / f"rank-{rank}.log" if rank else None
                output = None if log is None else stack.enter_context(log.open("wb"))
                environment = {
                    **os.environ,
                    STORE_VARIABLE: str(private / "store"),
                    "RANK": str(rank),
                    "LOCAL_RANK": str(rank),
                    "WORLD_SIZE": str(num),
                }
                stay_on_this_host(environment)
                command = (*PROGRAM, *sys.argv[1:])
                process = start_tethered(command, environment=environment, output=output)
                ranks.append(_Rank(rank, process, log))
            yield ranks
        finally:
            for one in ranks:
                kill_tethered(one.process)
                one.process.wait()


def _report(failed: Sequence[_Rank], num: int, folder: Path) -> int:
    """Show why the first of the failed ranks ended, and return the exit code."""
    if not failed:
        return 0
    # A rank that lost another one did not end by itself. The first one shows its own errors.
    cause = min(
        failed, key=lambda one: (one.process.returncode == RANK_LOST_EXIT, one.signal is None)
    )
    code = cause.process.returncode
    if cause.signal is None and (cause.log is None or code == STOPPED):
        return code
    if cause.log is not None:
        notices.print(cause.log.read_text(encoding="utf-8", errors="replace").rstrip())
    ended = f"with exit code {code}"
    if cause.signal is not None:
        ended = f"by signal {cause.signal} ({signal.Signals(cause.signal).name})"
    step = snapshot_step(folder)
    continues = (
        "there is no snapshot yet: the same command starts over"
        if step is None
        else f"the same command continues from step {step}"
    )
    notices.print(
        f"Error: rank {cause.rank} of {num} ended {ended}; {continues}.",
        style="red",
        soft_wrap=True,
    )
    return code if code > 0 else 1
