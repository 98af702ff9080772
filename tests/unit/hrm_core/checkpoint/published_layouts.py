"""The layouts in which checkpoints of HRM and TRM are published, made small.

Each is a golden checkpoint, whose outputs the reference implementation computed, laid out like a
published one: its file's name, the prefixes of its keys, what is wrapped around them, its settings.
"""

import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from safetensors.torch import save_file

Weights = dict[str, torch.Tensor]
PREFIX = "_orig_mod.model.inner."
TRM_PATH = "recursive_reasoning.trm@TinyRecursiveReasoningModel_ACTV1"
ALPHAXIV_PATH = "architectures.trm@TinyRecursiveReasoningModel_ACTV1"
# Later settings of Trelis, which only training uses.
OF_TRELIS = {
    "halt_max_steps_eval": None,
    "puzzle_emb_dropout": 0.1,
    "grid_token_dropout": 0.05,
    "grid_noise_prob": 0.05,
    "grid_noise_fraction": 0.02,
}


def with_average(weights: Weights) -> dict[str, Any]:
    """Wrap weights as the last step's noise beside their average, an optimiser and a step."""
    untrained = ("H_init", "L_init", "puzzle_emb.weights")
    average = {k: v for k, v in weights.items() if not k.endswith(untrained)}
    raw = {k: v + 0.1 if k in average else v for k, v in weights.items()}
    buffers = {PREFIX + "puzzle_emb.local_ids": torch.zeros(2, dtype=torch.int32)}
    return {
        "model": raw | buffers,
        "optimizers": [{"state": {}, "param_groups": [{"lr": 1e-4}]}],
        "ema": {"mu": 0.999, "shadow": average},
        "step": 3,
    }


def with_buffers(weights: Weights) -> Weights:
    """Add the buffers that some programs save beside their weights."""
    return weights | {
        PREFIX + "puzzle_emb.local_weights": torch.zeros(2, 32),
        PREFIX + "puzzle_emb.local_ids": torch.zeros(2, dtype=torch.int64),
        PREFIX + "rotary_emb.cos_cached": torch.ones(116, 16),
        PREFIX + "rotary_emb.sin_cached": torch.zeros(116, 16),
    }


@dataclass(frozen=True)
class Layout:
    """A published layout; `beside` are further files, `notes` begin what is to be said of it.

    `canvas` is given where a golden checkpoint is smaller than the published one.
    """

    golden: str
    file_name: str
    prefix: str = PREFIX
    wrap: Callable[[Weights], object] = dict
    arch: Mapping[str, Any] = field(default_factory=dict)
    beside: tuple[str, ...] = ()
    canvas: int | None = None
    notes: tuple[str, ...] = ()

    def make(self, source: Path, folder: Path) -> Path:
        """Make a folder of this layout from a golden checkpoint."""
        folder.mkdir()
        (weights_path,) = (
            path for path in source.iterdir() if path.suffix == "" and path.is_file()
        )
        weights: Weights = torch.load(weights_path, weights_only=True)
        renamed = {self.prefix + k.removeprefix(PREFIX): v for k, v in weights.items()}
        save(self.wrap(renamed), folder / self.file_name)
        document = yaml.safe_load((source / "all_config.yaml").read_text(encoding="utf-8"))
        document["arch"] |= self.arch
        (folder / "all_config.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
        for name in self.beside:
            (folder / name).write_text("raise SystemExit", encoding="utf-8")
        return folder


def save(content: object, path: Path) -> None:
    """Save weights in the form that the file's suffix says."""
    if path.suffix == ".safetensors" and isinstance(content, dict):
        save_file(content, path)
    elif path.suffix == ".zip":
        step = path.with_suffix("")
        torch.save(content, step)
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.write(step, f"run/{step.name}")
        step.unlink()
    else:
        torch.save(content, path)


LAYOUTS: Mapping[str, Layout] = {
    "sapientinc/HRM-checkpoint-ARC-2": Layout("hrm-bf16", "checkpoint", canvas=10),
    "sapientinc/HRM-checkpoint-sudoku-extreme": Layout("hrm-sudoku", "checkpoint"),
    "arcprize/trm_arc_prize_verification": Layout(
        "trm", "step_518071", beside=("trm.py", "losses.py"), canvas=10
    ),
    "Sanjin2024/TinyRecursiveModels-ARC-AGI-1": Layout("trm", "step_155718", canvas=10),
    "Sanjin2024/TinyRecursiveModel-Maze-Hard": Layout("trm-maze", "step_9765"),
    "Sanjin2024/TinyRecursiveModel-Sudoku-Extreme-mlp": Layout("trm-sudoku-mlp", "step_16275"),
    "alphaXiv/trm-model-arc-agi-1": Layout(
        "trm",
        "step_259320_arc_ag1_attn_type_h3l4",
        prefix="_orig._mod.model.inner.",
        arch={"name": ALPHAXIV_PATH},
        canvas=10,
    ),
    "alphaXiv/trm-model-maze": Layout(
        "trm-maze", "maze_hard_step_32550", prefix="module.model.inner."
    ),
    "alphaXiv/trm-model-sudoku": Layout(
        "trm-sudoku-mlp",
        "step_32550_sudoku_epoch50k",
        prefix="._orig_mod.model.inner.",
        arch={"name": ALPHAXIV_PATH},
    ),
    "Trelis/TRM-ARC-AGI-II": Layout(
        "trm", "step_723914", beside=("submission.json", "trm.py"), arch=OF_TRELIS, canvas=10
    ),
    "Trelis, LoRA, a prefix of 1, rows narrower than the model": Layout(
        "trm-lora", "step_1000", canvas=6, notes=("the LoRA of 10 layers was merged",)
    ),
    "cpmpml/arc-prize-trm-031": Layout("trm", "step_220708", canvas=10),
    "seconds-0/trm-arc2-8gpu, model.ckpt": Layout("trm", "model.ckpt", canvas=10),
    "seconds-0/trm-arc2-8gpu, step_72385.zip": Layout("trm", "step_72385.zip", canvas=10),
    "URM's repository, its TRM": Layout(
        "trm",
        "model.pt",
        wrap=lambda weights: {"model_state_dict": weights, "epoch": 3},
        arch={"name": "trm.trm@TRM"},
        canvas=10,
    ),
    "Lightning": Layout(
        "trm",
        "last.ckpt",
        prefix="model.model.inner.",
        wrap=lambda weights: {"state_dict": weights, "epoch": 1, "optimizer_states": []},
        canvas=10,
    ),
    "an average beside the last step": Layout(
        "trm", "last.pth", wrap=with_average, canvas=10, notes=("the average of the weights",)
    ),
    "buffers": Layout("trm", "pytorch_model.bin", wrap=with_buffers, canvas=10),
    "safetensors without a prefix": Layout("trm", "model.safetensors", prefix="", canvas=10),
}


def make_weights(*names: str) -> Weights:
    """Return tensors of some names, as another program has them."""
    return {name: torch.zeros(2, 2) for name in names}


INNER = ("embed_tokens.embedding_weight", "lm_head.weight", "q_head.weight", "q_head.bias")
LAYER = "layers.0.mlp.down_proj.weight"
EQR_STATE = {
    "model": make_weights(*INNER, f"L_level.{LAYER}"),
    "numpy": np.random.default_rng(0).bit_generator.state | {"keys": np.zeros(3)},
    "config": {"arch": {"name": "eqr@EqRModel"}},
}
# File, content, and what it is refused as. The settings are the published TRM's.
OTHERS: Mapping[str, tuple[str, object, str]] = {
    "locuslab/EqR-model": ("eqr.pth", EQR_STATE, "EqR (equilibrium reasoner)"),
    "EqR, weights alone": (
        "eqr.pth",
        make_weights(*INNER, "puzzle_emb.weights", f"L_level.{LAYER}"),
        "EqR (equilibrium reasoner)",
    ),
    "EqR's TRM": (
        "trm.pth",
        make_weights(*INNER, "absolute_pos_embedding", "H_init", "L_init", f"L_level.{LAYER}"),
        "EqR's own TRM",
    ),
    "UbiquantAI/URM": (
        "checkpoint.pt",
        {"model": make_weights(*(f"model.inner.{n}" for n in (*INNER, "init_hidden", LAYER)))},
        "URM (Universal Reasoning Model)",
    ),
    "ZoneTwelve/HRM-Sudoku": (
        "checkpoint-3000.safetensors",
        make_weights("cls_token", f"high_level_reasoner.{LAYER}", f"low_level_reasoner.{LAYER}"),
        "the port HRMACT",
    ),
    "trm_singlez": ("step_5", make_weights(*INNER, "L_init", f"L_level.{LAYER}"), "trm_singlez"),
    "trm_hier6": (
        "step_5",
        make_weights(*INNER, "H_init", *(f"L{i}_init" for i in range(1, 7)), f"L_level.{LAYER}"),
        "trm_hier6",
    ),
    "transformers_baseline": (
        "step_5",
        make_weights(*INNER, "H_init", f"H_level.{LAYER}"),
        "transformers_baseline",
    ),
}


def make_other(folder: Path, file_name: str, content: object) -> Path:
    """Make a folder with weights of another program."""
    folder.mkdir()
    save(content, folder / file_name)
    return folder
