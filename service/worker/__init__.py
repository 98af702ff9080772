"""The worker: one process per device, which runs the queue's jobs on it."""

from service.worker.worker import Worker, run_worker

__all__ = ["Worker", "run_worker"]
