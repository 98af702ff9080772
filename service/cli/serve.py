"""`hrm-arc serve`, `api` and `worker`: the whole service on this machine, or a part of it."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Literal

import typer

from service.cli.options import SlotsOption, StateFolderOption
from service.cli.output import console
from service.runtime.devices import isolate, taken_device
from service.runtime.logs import configure_logging
from service.runtime.settings import Settings
from service.runtime.supervisor import Supervisor

# Each option is a setting, and goes before its variable; None leaves the setting as it is.
HostOption = Annotated[
    str | None, typer.Option(help="Address to listen on; default: this machine only.")
]
PortOption = Annotated[
    int | None, typer.Option(min=0, max=65_535, help="Port to listen on; default: 8400.")
]
CheckpointsOption = Annotated[
    list[Path] | None,
    typer.Option(
        help="A checkpoint folder, or a folder of such. May be given several times. "
        "Default: checkpoints."
    ),
]
DeviceOption = Annotated[
    str | None, typer.Option(help="auto, cpu, cuda:N or free (a GPU without a worker).")
]
ThreadsOption = Annotated[
    int | None,
    typer.Option(min=1, help="Threads of a worker on the CPU; default: by size and free cores."),
]
LogLevelOption = Annotated[Literal["debug", "info", "warning", "error"] | None, typer.Option()]
LogFormatOption = Annotated[
    Literal["auto", "json", "console"] | None,
    typer.Option(help="auto: console on a terminal, else JSON."),
]


def serve_command(
    checkpoints: CheckpointsOption = None,
    host: HostOption = None,
    port: PortOption = None,
    state_folder: StateFolderOption = None,
    device: DeviceOption = None,
    slots: SlotsOption = None,
    threads: ThreadsOption = None,
    log_level: LogLevelOption = None,
    log_format: LogFormatOption = None,
) -> None:
    """Run the whole service on this machine.

    The API, a worker for each GPU (without one: on the CPU) and, unless HRM_ARC_REDIS_URL names
    another, a Valkey server that keeps jobs in the state folder. Every setting is also a variable
    HRM_ARC_…, and most are only that.
    """
    settings = Settings.load(
        checkpoints=checkpoints or None,
        host=host,
        port=port,
        state_folder=state_folder,
        device=device,
        slots=slots,
        threads=threads,
        log_level=log_level,
        log_format=log_format,
    )
    supervisor = Supervisor(settings, say)
    configure_logging(settings, "serve")
    supervisor.run()


def api_command(
    host: HostOption = None,
    port: PortOption = None,
    log_level: LogLevelOption = None,
    log_format: LogFormatOption = None,
) -> None:
    """Run the HTTP part of the service.

    The queue is the Redis that HRM_ARC_REDIS_URL names. Every setting is also a variable HRM_ARC_…,
    and most are only that.
    """
    settings = Settings.load(host=host, port=port, log_level=log_level, log_format=log_format)
    settings.check_exposure()
    configure_logging(settings, "api")
    from service.api import run_api  # here: a wrong setting is reported before the import

    raise typer.Exit(run_api(settings))


def worker_command(
    checkpoints: CheckpointsOption = None,
    device: DeviceOption = None,
    slots: SlotsOption = None,
    threads: ThreadsOption = None,
    log_level: LogLevelOption = None,
    log_format: LogFormatOption = None,
) -> None:
    """Run a worker: one process for one device.

    Jobs come from the Redis that HRM_ARC_REDIS_URL names. Every setting is also a variable
    HRM_ARC_…, and most are only that.
    """
    settings = Settings.load(
        checkpoints=checkpoints or None,
        device=device,
        slots=slots,
        threads=threads,
        log_level=log_level,
        log_format=log_format,
    )
    settings.checkpoint_folders()
    configure_logging(settings, "worker")
    with taken_device(settings.device, settings.state_folder) as taken:
        seen, variables = isolate(taken, os.environ)
        os.environ.update(variables)
        from service.worker import run_worker  # here: torch must find the variables

        code = run_worker(settings.model_copy(update={"device": seen}))
    raise typer.Exit(code)


def say(sentence: str) -> None:
    """Print a sentence for the person who started the service, as long as someone reads it."""
    # rich ends the program when its reader is gone, but the parts must still be stopped in order.
    with suppress(OSError, SystemExit):
        console.print(sentence, soft_wrap=True)
