"""What tests of the service share: engines on tiny checkpoints, and checkpoints of any names."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from augment import Grid, Pair, Puzzle
from bench.model import synthetic_checkpoint as synthesise
from hrm_core import Checkpoint, Engine, EngineConfig, open_checkpoint, parse_arch
from service.solving.enrolment import RowIndex

NUM_SLOTS = 4  # fewer than the samples of any puzzle, so that samples wait


def make_engine(folder: Path) -> Engine:
    config = EngineConfig(torch.device("cpu"), num_slots=NUM_SLOTS)
    return Engine(open_checkpoint(folder), config)


@pytest.fixture(scope="session")
def tiny_engine(tiny_folder: Path) -> Engine:
    """Return an engine on the tiny checkpoint."""
    return make_engine(tiny_folder)


@pytest.fixture(scope="session")
def early_engine(early_folder: Path) -> Engine:
    """Return an engine on the checkpoint with divided votes."""
    return make_engine(early_folder)


@pytest.fixture(scope="session")
def tiny_row_index(tiny_engine: Engine) -> RowIndex:
    """Return the row_index of the tiny checkpoint."""
    return RowIndex(tiny_engine.checkpoint)


@pytest.fixture(scope="session")
def early_row_index(early_engine: Engine) -> RowIndex:
    """Return the row_index of the checkpoint with divided votes."""
    return RowIndex(early_engine.checkpoint)


@pytest.fixture
def checkpoint_of(tmp_path: Path) -> Callable[..., Checkpoint]:
    """Return a maker of untrained checkpoints, with these names of rows and these known puzzles."""

    def make(
        names: Sequence[str] | None,
        known: Sequence[Puzzle] | None = None,
        *,
        vocab_size: int = 12,
        row_width: int = 8,
    ) -> Checkpoint:
        arch = {
            "name": "hrm.hrm_act_v1@HierarchicalReasoningModel_ACTV1",
            "hidden_size": 8,
            "num_heads": 1,
            "H_layers": 1,
            "L_layers": 1,
            "H_cycles": 1,
            "L_cycles": 1,
            "expansion": 1,
            "halt_max_steps": 2,
            "puzzle_emb_ndim": row_width,
            "pos_encodings": "rope",
            "forward_dtype": "float32",
        }
        config = parse_arch({"arch": arch}).configure(
            vocab_size=vocab_size, seq_len=9, num_rows=len(names or ()) or 2
        )
        if known is not None:
            hashes = {puzzle.name: puzzle.demonstrations_hash for puzzle in known}
            document = {"demonstrations": hashes, "probes": {}}
            (tmp_path / "puzzles.json").write_text(json.dumps(document), encoding="utf-8")
        return replace(
            synthesise(config, seed=0),
            folder=tmp_path,
            names=None if names is None else tuple(names),
        )

    return make


@pytest.fixture
def puzzle_of() -> Callable[..., Puzzle]:
    """Return a maker of puzzles: these colours, one demonstration each, under this name."""

    def make(name: str, *colours: int) -> Puzzle:
        pairs = tuple(
            Pair(Grid.from_rows([[colour, 0, 3]]), Grid.from_rows([[colour], [9]]))
            for colour in colours
        )
        return Puzzle(name, pairs, (Grid.from_rows([[7, 1]]),))

    return make
