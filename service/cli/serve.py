"""`hrm-arc serve`: the whole service on this machine, until Ctrl-C."""

from contextlib import suppress

from service.cli import service_options as options
from service.cli.output import console
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
    HRM_ARC_…, and most are that only.
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


def say(sentence: str) -> None:
    """Tell the person who started the service something, if there is still one to tell."""
    # rich ends the program when its reader is gone, but the parts must still be stopped in order.
    with suppress(OSError, SystemExit):
        console.print(sentence, markup=False, soft_wrap=True)
