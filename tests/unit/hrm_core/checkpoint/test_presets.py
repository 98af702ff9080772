"""Presets: weights without settings ask for one, and take it."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from published_layouts import PREFIX

from hrm_core import CheckpointError, open_checkpoint, parse_arch
from hrm_core.checkpoint.presets import PRESETS, find_published, write_preset
from hrm_core.model.attention_choice import load_backend
from hrm_core.model.config import CANVAS_BY_VOCAB_SIZE
from hrm_core.model.network import build_network

CopyGolden = Callable[[str], Path]


def write_weights(folder: Path, name: str, file_name: str = "step_5") -> None:
    """Write blank weights of the size that a preset describes."""
    preset = PRESETS[name]
    config = parse_arch(preset.document).configure(
        vocab_size=preset.vocab_size,
        seq_len=CANVAS_BY_VOCAB_SIZE[preset.vocab_size] ** 2,
        num_rows=2,
    )
    network = build_network(config, load_backend("sdpa"), torch.float32, meta=True)
    weights = {PREFIX + k: torch.zeros(v.shape) for k, v in network.state_dict().items()}
    folder.mkdir()
    torch.save(weights | {PREFIX + "puzzle_emb.weights": torch.zeros(2, 512)}, folder / file_name)


@pytest.mark.parametrize(
    ("name", "fitting"),
    [
        ("hrm-arc", {"hrm-arc"}),
        ("hrm-maze", {"hrm-maze"}),
        ("trm-arc-h3l4", {"trm-arc-h3l4", "trm-arc-h3l6", "trm-arc-h3l4-prefix1"}),
        ("trm-sudoku-mlp", {"trm-sudoku-mlp"}),
        ("trm-sudoku-attention", {"trm-sudoku-attention"}),
    ],
)
def test_weights_without_settings_ask_for_one_of_the_presets_that_fit(
    tmp_path: Path, name: str, fitting: set[str]
) -> None:
    folder = tmp_path / "folder"
    write_weights(folder, name)

    with pytest.raises(CheckpointError) as caught:
        open_checkpoint(folder)

    assert caught.value.problem == "missing"
    assert "cycles, heads, prefix and halting" in caught.value.hint
    assert {one for one in PRESETS if f"{one}," in caught.value.hint.replace(")", ",")} == fitting
    write_preset(folder, name)
    checkpoint = open_checkpoint(folder)
    assert checkpoint.notes == (f"the settings are those of the preset {name}",)
    assert checkpoint.config.L_cycles == PRESETS[name].arch["L_cycles"]
    with pytest.raises(CheckpointError, match="exists already and is kept"):
        write_preset(folder, name)


def test_weights_that_no_preset_fits_say_so(copy_golden: CopyGolden) -> None:
    folder = copy_golden("trm")
    (folder / "all_config.yaml").unlink()

    with pytest.raises(CheckpointError, match="no preset fits these weights"):
        open_checkpoint(folder)
    with pytest.raises(CheckpointError, match=r"no preset 'trm'\. The presets are hrm-arc, "):
        write_preset(folder, "trm")


@pytest.mark.parametrize(
    ("repo", "file_name", "preset"),
    [
        ("alphaXiv/trm-model-arc-agi-1", "step_259320_arc_ag1_attn_type_h3l4", "trm-arc-h3l4"),
        ("alphaXiv/trm-model-maze", "maze_hard_step_32550", "trm-maze-h3l4"),
        ("alphaXiv/trm-model-sudoku", "step_32550_sudoku_epoch50k", "trm-sudoku-mlp"),
        (
            "alphaXiv/trm-model-sudoku",
            "step_39060_sudoku_60k_epoch_attn_type",
            "trm-sudoku-attention",
        ),
        ("alphaXiv/trm-model-arc-agi-1", "step_5", None),
        ("someone/trm", "step_5", None),
    ],
)
def test_published_weights_have_a_preset(repo: str, file_name: str, preset: str | None) -> None:
    assert find_published(repo, file_name) == preset
