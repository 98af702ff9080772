"""The worker: one process per device, which runs jobs of the queue on it."""

from service.worker.worker import Worker, run_worker

__all__ = ["Worker", "run_worker"]
