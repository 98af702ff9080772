"""`hrm-arc worker`: one process that answers jobs on one device."""

import os

import typer

from service.cli import service_options as options
from service.runtime.devices import isolate, taken_device
from service.runtime.logs import configure_logging
from service.runtime.settings import Settings


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
    HRM_ARC_…, and most are that only.
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
    with taken_device(settings.device, settings.state_folder) as device_taken:
        seen, variables = isolate(device_taken, os.environ)
        os.environ.update(variables)
        # Only now: torch must find the variables, and a bad setting need not wait for it.
        from service.worker import run_worker

        code = run_worker(settings.model_copy(update={"device": seen}))
    raise typer.Exit(code)
