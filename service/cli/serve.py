"""`hrm-arc serve`, `api` and `worker`: the whole service on this machine, or a part of it.

Every setting is also a variable HRM_ARC_…, and most are only that.
"""

import os
from contextlib import suppress

import typer

from service.cli import service_options as options
from service.cli.output import console
from service.runtime.devices import isolate, taken_device
from service.runtime.logs import configure_logging
from service.runtime.settings import Settings
from service.runtime.supervisor import Supervisor


def serve_command(
    checkpoints: options.CheckpointsOption = None,
    host: options.HostOption = None,
    port: options.PortOption = None,
    state_folder: options.StateFolderOption = None,
    device: options.DeviceOption = None,
    slots: options.SlotsOption = None,
    threads: options.ThreadsOption = None,
    log_level: options.LogLevelOption = None,
    log_format: options.LogFormatOption = None,
) -> None:
    """Run the whole service on this machine.

    The API, a worker for each GPU (without one: on the CPU) and, unless HRM_ARC_REDIS_URL names
    another, a Valkey server that keeps jobs in the state folder. Every setting is also a variable
    HRM_ARC_…, and most are only that.
    """
    settings = Settings.load(
        checkpoints=options.as_tuple(checkpoints),
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
    host: options.HostOption = None,
    port: options.PortOption = None,
    log_level: options.LogLevelOption = None,
    log_format: options.LogFormatOption = None,
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
    checkpoints: options.CheckpointsOption = None,
    device: options.DeviceOption = None,
    slots: options.SlotsOption = None,
    threads: options.ThreadsOption = None,
    log_level: options.LogLevelOption = None,
    log_format: options.LogFormatOption = None,
) -> None:
    """Run a worker: one process for one device.

    Jobs come from the Redis that HRM_ARC_REDIS_URL names. Every setting is also a variable
    HRM_ARC_…, and most are only that.
    """
    settings = Settings.load(
        checkpoints=options.as_tuple(checkpoints),
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
        console.print(sentence, markup=False, soft_wrap=True)
