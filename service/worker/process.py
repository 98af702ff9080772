"""The process of a worker: its identity, signals and metrics' port."""

import gc
import os
import secrets
import signal
import socket
from typing import Any

import structlog

from hrm_core import keep_compiled
from service.jobs import Claims
from service.runtime.folders import state_subfolder
from service.runtime.hangup import on_hangup
from service.runtime.settings import Settings
from service.runtime.tether import end_with_parent
from service.runtime.tracing import open_tracer
from service.worker.engine_pool import MakeEngine
from service.worker.worker import Worker


def run_worker(settings: Settings, make_engine: MakeEngine | None = None) -> int:
    """Run a worker until SIGTERM or SIGINT; return the exit code.

    0: stopped in order. 2: nothing can be served. 70: the engine is dead, start a new process.

    Raises: SettingsError for settings that no worker can run with; OSError for the metrics' port.
    """
    url, tracer = settings.queue_url, open_tracer(settings, "worker")
    # In the state folder, where a restarted worker finds its compiled network.
    keep_compiled(state_subfolder("compiled", settings.state_folder))
    # A restarted worker has another id, and none of the old leases.
    worker_id = f"{settings.worker_id or socket.gethostname()}-{secrets.token_hex(3)}"
    claims = Claims(
        url,
        worker_id=worker_id,
        lease_s=settings.lease_s,
        max_attempts=settings.max_attempts,
        result_ttl_s=settings.result_ttl_s,
        max_ended=settings.max_ended,
    )
    worker = Worker(settings, claims, make_engine, tracer)

    def stop(*_: object) -> None:
        worker.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    on_hangup(worker.reload, stop)
    end_with_parent(worker.abandon)  # its Valkey ends too, and no result would be kept
    log: Any = structlog.get_logger(__name__)
    if settings.worker_metrics_port is not None:
        server = worker.metrics.serve(
            settings.host, settings.worker_metrics_port, lambda: worker.state == "ready"
        )
        log.info("metrics", host=settings.host, port=server.server_port)
    log.info("worker starts", worker=claims.worker_id, device=settings.device)
    gc.freeze()  # what is loaded stays, and need not be looked at in each collection
    code = worker.run()
    tracer.close()
    if worker.is_engine_stuck:
        os._exit(code)  # an ordinary exit would wait for the device, perhaps forever
    claims.close()
    return code
