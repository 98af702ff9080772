"""Training runs as one of several ranks, in processes that torch starts for a test."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
import torch.multiprocessing as processes

from augment import encode
from hrm_core import (
    ONE_RANK,
    STORE_VARIABLE,
    Adaptation,
    CheckedExamples,
    ModelConfig,
    Pretraining,
    Ranks,
    TrainingArrays,
    TrainingError,
    TrainSettings,
    join_ranks,
    parse_arch,
)
from hrm_core.model.network import Network
from hrm_core.training import checks, pretrain
from hrm_core.training.step import Batch, SegmentResult

CPU = torch.device("cpu")
CANVAS = 4
RECORD = "how.json"
STOPS_AT = 9
HRM = {"name": "hrm.hrm_act_v1@HierarchicalReasoningModel_ACTV1", "H_cycles": 1}
TRM = {"name": "recursive_reasoning.trm@TinyRecursiveReasoningModel_ACTV1", "puzzle_emb_len": 2}
NETWORKS = {"hrm": HRM, "trm": TRM, "without rows": {**HRM, "puzzle_emb_ndim": 0}}
SETTINGS = TrainSettings(
    num_steps=20, batch_size=12, lr=1e-3, warmup_steps=2, ema_decay=0.9, snapshot_s=1e9, log_every=5
)


def puzzles(canvas: int = CANVAS) -> TrainingArrays:
    """Make two puzzles, one that copies and one that paints everything in colour 3."""
    rng = np.random.default_rng(canvas)
    inputs = [rng.integers(0, 10, (2, 3)).astype(np.uint8) for _ in range(6)]
    outputs = [grid if i < 3 else np.full_like(grid, 3) for i, grid in enumerate(inputs)]
    return TrainingArrays(
        canvas=canvas,
        inputs=encode(inputs, canvas).astype(np.uint8),
        labels=encode(outputs, canvas).astype(np.uint8),
        room=np.array([[canvas - 2, canvas - 3]] * 6, dtype=np.uint8),
        rows=np.array([1, 2]),
        variant_starts=np.array([0, 3, 6]),
        group_starts=np.array([0, 1, 2]),
    )


def start(
    folder: Path,
    ranks: Ranks = ONE_RANK,
    *,
    arch: dict[str, Any] = HRM,
    crop: bool = False,
    left_out: list[int] | None = None,
    **changes: Any,
) -> Pretraining:
    """Start or resume a run in which samples halt at different steps."""
    sides = (3, CANVAS) if crop else (CANVAS,)
    arrays = [puzzles(side) for side in sides]
    marks = [np.isin(np.arange(6), left_out or []) for _ in arrays]
    settings = replace(SETTINGS, **changes)
    config = configure({**arch, "crop": crop})
    run = Pretraining(
        folder,
        config,
        arrays,
        settings,
        {},
        device=CPU,
        compile_step=False,
        left_out=marks,
        ranks=ranks,
    )
    if run.step == 0:
        # Every sample would halt, and half of them may not before a random step.
        run.network.q_head.get_parameter("bias").data.copy_(torch.tensor([9.0, -9.0]))
    return run


def configure(arch: dict[str, Any]) -> ModelConfig:
    """Describe a tiny network."""
    tiny = {
        **{"H_cycles": 2, "L_cycles": 2, "H_layers": 1, "L_layers": 1, "hidden_size": 16},
        **{"num_heads": 2, "expansion": 4, "halt_max_steps": 3, "halt_exploration_prob": 0.5},
        **{"puzzle_emb_ndim": 16, "pos_encodings": "rope", "forward_dtype": "float32"},
    }
    settings = parse_arch({"arch": {**tiny, **arch}})
    return settings.configure(vocab_size=12, seq_len=CANVAS**2, num_rows=3)


def ignore(progress: object) -> None:
    """Take no notice of progress."""


def train_all(folder: Path, ranks: Ranks = ONE_RANK, **changes: Any) -> None:
    """Train each network to the end of its budget."""
    for name, arch in NETWORKS.items():
        run = start(folder / name, ranks, arch=arch, **changes)
        assert run.train(ignore)
        keep_weights(run, folder / name, ranks)


def adapt(folder: Path, ranks: Ranks = ONE_RANK, **changes: Any) -> None:
    """Adapt: only the rows learn at first, and checks are made of one example at a time."""
    with _chunks_of_one():
        run = start(folder, ranks, left_out=[2, 5], rows_only_share=0.25, **changes)
        checked = CheckedExamples(puzzles(), np.array([2, 5]), ["copy", "paint"])
        adaptation = Adaptation(run, record_name=RECORD, made_from={}, checked=[checked])
        assert adaptation.adapt(ignore)
    keep_weights(run, folder, ranks)


@contextmanager
def _chunks_of_one() -> Iterator[None]:
    before, checks.CHUNK_SIZE = checks.CHUNK_SIZE, 1
    try:
        yield
    finally:
        checks.CHUNK_SIZE = before


def keep_weights(run: Pretraining, folder: Path, ranks: Ranks) -> None:
    """Write what this rank holds, which only the first one writes to the checkpoint."""
    torch.save({**run.learned_trunk, "table": run.table}, folder / f"rank_{ranks.rank}.pt")


def weights_of(folder: Path, rank: int = 0) -> dict[str, torch.Tensor]:
    """Read what a rank held at the end of a run."""
    weights: dict[str, torch.Tensor] = torch.load(folder / f"rank_{rank}.pt", weights_only=True)
    return weights


def stop(folder: Path, ranks: Ranks) -> None:
    """Stop where the first rank says so, whatever the others want."""
    run = start(folder, ranks)
    assert not run.train(ignore, lambda: run.step == STOPS_AT or not ranks.is_first)
    assert run.step == STOPS_AT


def train_for_a_time(folder: Path, ranks: Ranks) -> None:
    """Train for a time by clocks that differ."""
    clock = pretrain.time
    if not ranks.is_first:
        pretrain.time = SimpleNamespace(monotonic=lambda: 0.0)  # type: ignore[assignment]
    run = start(folder, ranks, num_steps=None, max_seconds=0.2)
    assert run.train(ignore)
    pretrain.time = clock
    keep_weights(run, folder, ranks)


def run_out_of_memory(folder: Path, ranks: Ranks) -> None:
    """Train where the last rank's memory holds only three samples."""
    run = start(folder, ranks)
    supervise = run._run

    def limited(network: Network, batch: Batch, learns_continue: bool) -> SegmentResult:
        if ranks.rank == ranks.size - 1 and len(batch.z_H) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return supervise(network, batch, learns_continue)

    run._run = limited
    assert run.train(ignore)
    assert run.lanes.next().slice_size == 3
    keep_weights(run, folder, ranks)


def drift_apart(folder: Path, ranks: Ranks) -> None:
    """Change a weight of one rank only; each rank writes how its run ended."""
    run = start(folder, ranks)
    if not ranks.is_first:
        run.table[1, 0] += 1e-6
    try:
        run.save()
    except TrainingError as error:
        (folder.parent / f"drifted_{ranks.rank}.txt").write_text(str(error))


def run_ranks(work: Callable[[Path, Ranks], None], size: int, folder: Path) -> None:
    """Do work in several processes that are ranks, and wait for them."""
    processes.start_processes(
        _work_as_rank, args=(work, size, folder), nprocs=size, start_method="spawn"
    )


def _work_as_rank(rank: int, work: Callable[[Path, Ranks], None], size: int, folder: Path) -> None:
    os.environ |= {
        **{"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(size)},
        STORE_VARIABLE: str(folder / "store"),
    }
    torch.set_num_threads(1)
    ranks, _ = join_ranks("cpu")
    work(folder, ranks)
