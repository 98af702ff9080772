"""`hrm-arc api`: the HTTP part of the service alone."""

import typer

from service.cli import service_options as options
from service.runtime.logs import configure_logging
from service.runtime.settings import Settings


def api_command(
    host: options.HostOption = None,
    port: options.PortOption = None,
    log_level: options.LogLevelOption = None,
    log_format: options.LogFormatOption = None,
) -> None:
    """Run the HTTP part of the service.

    Jobs wait in the Redis that HRM_ARC_REDIS_URL names. Every setting is also a variable HRM_ARC_…,
    and most are that only.
    """
    settings = Settings.load(host=host, port=port, log_level=log_level, log_format=log_format)
    settings.check_exposure()
    configure_logging(settings, "api")
    from service.api import run_api  # a bad setting is told without waiting for the framework

    raise typer.Exit(run_api(settings))
