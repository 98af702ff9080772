"""An engine without a network that votes for several grids, and a worker with such engines."""

import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from augment import Puzzle, parse_task
from bench.fake_engine import FakeEngine
from bench.model import synthetic_checkpoint
from hrm_core import ARC_VOCAB_SIZE, Outcome, parse_arch, write_checkpoint
from service.adaptation.dataset import build_dataset
from service.runtime.logs import configure_logging
from service.runtime.settings import Settings
from service.solving.records import PUZZLES_NAME, index_document
from service.worker import run_worker

ARCH = {
    "name": "hrm.hrm_act_v1@HierarchicalReasoningModel_ACTV1",
    "hidden_size": 8,
    "num_heads": 1,
    "H_layers": 1,
    "L_layers": 1,
    "H_cycles": 1,
    "L_cycles": 1,
    "expansion": 1,
    "halt_max_steps": 2,
    "puzzle_emb_ndim": 8,
    "pos_encodings": "rope",
    "forward_dtype": "float32",
}


class VotingEngine(FakeEngine):
    """A fake engine with an answer that depends on the sample alone, as a network's does.

    Most variants answer with their input, some with another cell in the corner, a few with nothing.
    """

    def _outcome(self, job: Any, sample: Any) -> Outcome:
        outcome = super()._outcome(job, sample)
        tokens, lot = outcome.tokens.copy(), int(sample.tokens @ np.arange(len(sample.tokens)))
        if lot % 5 == 0:
            tokens[0] = tokens[1]
        if lot % 11 == 0:
            tokens[:] = 0
        return outcome._replace(
            tokens=tokens,
            steps=1 if sample.is_traced else 1 + lot % 2,
            q_halt_logit=lot % 7 - 3.0,
        )


def write_wide_folder(folder: Path, num_variants: int) -> Puzzle:
    """Write a checkpoint that knows one puzzle, with two test inputs, in so many variants."""
    inputs = ([[1, 2, 3], [4, 5, 6], [7, 8, 9]], [[9, 1, 2], [0, 5, 0], [3, 8, 4]])
    pairs = [{"input": rows, "output": [[1]]} for rows in inputs]
    puzzle = parse_task({"train": pairs, "test": [{"input": rows} for rows in inputs]}, "w").puzzle
    names = list(build_dataset([puzzle], 3, num_variants, seed=0).identifiers)
    config = parse_arch({"arch": ARCH}).configure(
        vocab_size=ARC_VOCAB_SIZE, seq_len=9, num_rows=len(names)
    )
    documents = {"identifiers.json": names, PUZZLES_NAME: index_document([puzzle])}
    trunk = synthetic_checkpoint(config, seed=0).trunk
    write_checkpoint(folder, config, trunk, torch.zeros(len(names), 8), 1, {}, documents)
    return puzzle


def main() -> int:
    """Run a worker with steps that take as many seconds as the first argument says."""
    settings = Settings.load()
    configure_logging(settings, "worker")
    return run_worker(settings, partial(VotingEngine, step_s=float(sys.argv[1]), num_slots=16))


if __name__ == "__main__":
    sys.exit(main())
