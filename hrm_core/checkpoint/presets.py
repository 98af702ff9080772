"""Presets: settings of published weights that come without an `all_config.yaml`.

Cycles, heads, halting and under RoPE the length of the prefix leave no trace in weights, so they
are never guessed: a user names a preset, or `pull` knows the repository.
"""

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from hrm_core.checkpoint.layout import Layout
from hrm_core.checkpoint.validation import PRESET_KEY, fit_config
from hrm_core.checkpoint.weights import RowTable
from hrm_core.checkpoint.writer import CONFIG_NAME
from hrm_core.errors import CheckpointError
from hrm_core.files import write_text
from hrm_core.model.config import CLASS_PATHS

_TRM_REPOSITORY = "SamsungSAILMontreal/TinyRecursiveModels"
_COMMON: Final[Mapping[str, Any]] = {
    "hidden_size": 512,
    "num_heads": 8,
    "expansion": 4,
    "halt_max_steps": 16,
    "halt_exploration_prob": 0.1,
    "puzzle_emb_ndim": 512,
    "pos_encodings": "rope",
    "forward_dtype": "bfloat16",
}
_HRM: Final[Mapping[str, Any]] = {
    **_COMMON,
    "name": CLASS_PATHS["hrm"],
    "H_cycles": 2,
    "L_cycles": 2,
    "H_layers": 4,
    "L_layers": 4,
}
_TRM: Final[Mapping[str, Any]] = {
    **_COMMON,
    "name": CLASS_PATHS["trm"],
    "H_cycles": 3,
    "L_cycles": 4,
    "H_layers": 0,
    "L_layers": 2,
    "mlp_t": False,
    "puzzle_emb_len": 16,
    "no_ACT_continue": True,
}


@dataclass(frozen=True, slots=True)
class Preset:
    """Settings by name; `vocab_size` is that of the puzzles that they were trained on."""

    name: str
    vocab_size: int
    arch: Mapping[str, Any]
    source: str

    @property
    def document(self) -> dict[str, Any]:
        """The content of an `all_config.yaml`."""
        return {"arch": dict(self.arch), PRESET_KEY: self.name}


PRESETS: Final[Mapping[str, Preset]] = {
    preset.name: preset
    for preset in (
        Preset("hrm-arc", 12, _HRM, "sapientinc/HRM, config/arch/hrm_v1.yaml"),
        Preset("hrm-sudoku", 11, _HRM, "sapientinc/HRM, config/arch/hrm_v1.yaml"),
        Preset("hrm-maze", 6, _HRM, "sapientinc/HRM, config/arch/hrm_v1.yaml"),
        Preset(
            "trm-arc-h3l4",
            12,
            _TRM,
            f"{_TRM_REPOSITORY}, README: ARC-AGI-1 and ARC-AGI-2",
        ),
        Preset(
            "trm-arc-h3l6",
            12,
            {**_TRM, "L_cycles": 6},
            f"{_TRM_REPOSITORY}, config/arch/trm.yaml; alphaXiv's README: ARC",
        ),
        Preset(
            "trm-arc-h3l4-prefix1",
            12,
            {**_TRM, "puzzle_emb_len": 1},
            "TrelisResearch/TinyRecursiveModels, config/arch/trm.yaml",
        ),
        Preset(
            "trm-sudoku-mlp",
            11,
            {**_TRM, "L_cycles": 6, "mlp_t": True, "pos_encodings": "none"},
            f"{_TRM_REPOSITORY}, README: Sudoku-Extreme, pretrain_mlp_t_sudoku",
        ),
        Preset(
            "trm-sudoku-attention",
            11,
            {**_TRM, "L_cycles": 6},
            f"{_TRM_REPOSITORY}, README: Sudoku-Extreme, pretrain_att_sudoku",
        ),
        Preset(
            "trm-maze-h3l4",
            6,
            _TRM,
            f"{_TRM_REPOSITORY}, README: Maze-Hard",
        ),
    )
}

# Repositories that publish weights without an all_config.yaml: name, weights file, preset.
_PUBLISHED = (
    ("alphaxiv/trm-model-arc-agi-1", r".*_h3l4", "trm-arc-h3l4"),
    ("alphaxiv/trm-model-arc-agi-1", r".*_h3l6", "trm-arc-h3l6"),
    ("alphaxiv/trm-model-maze", r".*", "trm-maze-h3l4"),
    ("alphaxiv/trm-model-sudoku", r".*_attn_.*", "trm-sudoku-attention"),
    ("alphaxiv/trm-model-sudoku", r".*", "trm-sudoku-mlp"),
)


def find_published(repo: str, weights_name: str) -> str | None:
    """Return the preset of a published weights file, by its repository, or None."""
    return next(
        (
            preset
            for published, pattern, preset in _PUBLISHED
            if repo.lower() == published and re.fullmatch(pattern, weights_name)
        ),
        None,
    )


def find_fitting(
    folder: Path, weights_path: Path, layout: Layout, rows: RowTable, canvas: int | None
) -> list[str]:
    """Return the names of the presets that the shapes of some weights do not contradict."""
    fitting = []
    for preset in PRESETS.values():
        with suppress(CheckpointError):
            fitted = fit_config(folder, weights_path, preset.document, layout, rows, canvas)
            if fitted.config.vocab_size == preset.vocab_size:
                fitting.append(preset.name)
    return fitting


def missing_config(
    folder: Path, weights_path: Path, layout: Layout, rows: RowTable, canvas: int | None
) -> CheckpointError:
    """Return the error of a folder without an `all_config.yaml`, with the presets that fit."""
    fitting = find_fitting(folder, weights_path, layout, rows, canvas)
    choice = (
        f", or choose the right one of the presets that fit the weights ({', '.join(fitting)}) "
        f"with `hrm-arc presets {folder} --preset NAME`"
        if fitting
        else "; no preset fits these weights"
    )
    return CheckpointError(
        folder / CONFIG_NAME,
        "missing",
        "It contains cycles, heads, prefix and halting, which the weights do not: copy the one "
        f"that was published with them{choice}.",
    )


def write_preset(folder: Path, name: str) -> Path:
    """Write a preset as the `all_config.yaml` of a folder that has none; return its path.

    Raises: CheckpointError.
    """
    path, preset = folder / CONFIG_NAME, PRESETS.get(name)
    if preset is None:
        raise CheckpointError(
            folder, f"no preset {name!r}", f"The presets are {', '.join(PRESETS)}."
        )
    if path.exists():
        raise CheckpointError(
            path, "exists already and is kept", "Move it away to choose a preset."
        )
    heading = f"# The preset {name} of hrm-arc. Source: {preset.source}.\n"
    write_text(path, heading + yaml.safe_dump(preset.document))
    return path
