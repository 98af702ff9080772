"""Small checkpoint folders: copies of the golden ones to damage, and random ones of any shape."""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from hrm_core.checkpoint.writer import write_checkpoint
from hrm_core.model.attention_choice import load_backend
from hrm_core.model.config import ModelConfig, parse_arch
from hrm_core.model.network import build_network, initialise

HRM_NAME = "hrm.hrm_act_v1@HierarchicalReasoningModel_ACTV1"
TINY_ARCH: Mapping[str, Any] = {
    "name": HRM_NAME,
    "H_cycles": 2,
    "L_cycles": 2,
    "H_layers": 1,
    "L_layers": 1,
    "hidden_size": 16,
    "num_heads": 2,
    "expansion": 4,
    "halt_max_steps": 3,
    "halt_exploration_prob": 0.1,
    "puzzle_emb_ndim": 16,
    "pos_encodings": "rope",
    "forward_dtype": "float32",
}

CopyGolden = Callable[[str], Path]
MakeCheckpoint = Callable[..., Path]


@pytest.fixture
def copy_golden(golden_folder: Path, tmp_path: Path) -> CopyGolden:
    """Return what copies a golden checkpoint to where it may be damaged."""

    def copy(name: str) -> Path:
        target = tmp_path / name
        target.mkdir()
        for source in (golden_folder / name).iterdir():
            shutil.copyfile(source, target / source.name)
        return target

    return copy


@pytest.fixture
def tiny_config() -> Callable[..., ModelConfig]:
    """Return what describes a model of 4 x 4 cells, some of its settings changed."""

    def make(canvas: int = 4, num_rows: int = 5, vocab_size: int = 12, **arch: Any) -> ModelConfig:
        settings = parse_arch({"arch": {**TINY_ARCH, **arch}})
        return settings.configure(vocab_size=vocab_size, seq_len=canvas**2, num_rows=num_rows)

    return make


@pytest.fixture
def make_checkpoint(tmp_path: Path, tiny_config: Callable[..., ModelConfig]) -> MakeCheckpoint:
    """Return what writes a checkpoint of random weights, as `hrm-arc train` would."""

    def make(
        folder: str = "made", documents: Mapping[str, object] | None = None, **of: Any
    ) -> Path:
        config = tiny_config(**of)
        generator = torch.Generator().manual_seed(1)
        network = build_network(config, load_backend("sdpa"), getattr(torch, config.forward_dtype))
        initialise(network, generator)
        with torch.no_grad():
            # A trained q head is not blank: let it depend on the state.
            network.q_head.weight.normal_(generator=generator)
            network.q_head.get_parameter("bias").zero_()
        table = torch.randn(config.num_rows, config.puzzle_emb_ndim, generator=generator)
        path = tmp_path / folder
        write_checkpoint(path, config, network.state_dict(), table, 7, {}, documents or {})
        return path

    return make
