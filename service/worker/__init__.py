"""The worker: one process per device, which runs jobs of the queue on it."""

from service.worker.process import run_worker
from service.worker.worker import Worker

__all__ = ["Worker", "run_worker"]
