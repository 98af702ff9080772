"""Every published layout opens and computes as the reference does, or is refused by what it is."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from published_layouts import LAYOUTS, OTHERS, PREFIX, Weights, make_other, save

from hrm_core import CheckpointError, compare_segments, open_checkpoint
from hrm_core.checkpoint.finding import choose_weights
from hrm_core.model.unsupported import find_by_repository

pytestmark = pytest.mark.usefixtures("one_thread")

CopyGolden = Callable[[str], Path]
CPU = torch.device("cpu")


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_published_layout_computes_as_the_reference_does(
    golden_folder: Path, tmp_path: Path, name: str
) -> None:
    layout = LAYOUTS[name]
    source = golden_folder / layout.golden
    folder = layout.make(source, tmp_path / "folder")

    checkpoint = open_checkpoint(folder, layout.canvas)

    assert compare_segments(checkpoint, source / "segments.npz", CPU).disagreements == ()
    assert len(checkpoint.notes) == len(layout.notes), checkpoint.notes
    for note, start in zip(checkpoint.notes, layout.notes, strict=True):
        assert note.startswith(start)


def test_a_zip_is_unpacked_once_and_never_chosen_again(golden_folder: Path, tmp_path: Path) -> None:
    layout = LAYOUTS["seconds-0/trm-arc2-8gpu, step_72385.zip"]
    folder = layout.make(golden_folder / layout.golden, tmp_path / "folder")

    first = open_checkpoint(folder, layout.canvas)
    (folder / layout.file_name).write_bytes(b"gone")

    assert first.weights_path == folder / "checkpoint"
    assert open_checkpoint(folder, layout.canvas).sha256 == first.sha256
    assert {path.name for path in folder.iterdir()} == {
        "checkpoint",
        "all_config.yaml",
        layout.file_name,
    }


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"text" * 100])
def test_a_damaged_zip_is_refused(copy_golden: CopyGolden, content: bytes) -> None:
    folder = copy_golden("trm")
    (folder / "step_1000").unlink()
    (folder / "step_1000.zip").write_bytes(content)

    with pytest.raises(CheckpointError, match="no zip that can be read"):
        open_checkpoint(folder)
    assert not (folder / "checkpoint").exists()


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("has_settings", [False, True])
def test_weights_of_other_programs_are_refused_by_what_they_are(
    golden_folder: Path, tmp_path: Path, name: str, has_settings: bool
) -> None:
    file_name, content, what = OTHERS[name]
    folder = make_other(tmp_path / "folder", file_name, content)
    if has_settings:
        shutil.copy(golden_folder / "trm" / "all_config.yaml", folder)

    with pytest.raises(CheckpointError) as caught:
        open_checkpoint(folder)

    assert what in caught.value.problem
    assert caught.value.path == folder / file_name
    assert caught.value.hint == "Use weights of HRM or TRM."


@pytest.mark.parametrize(
    ("class_path", "what"),
    [
        ("urm.urm@URM", "URM"),
        ("eqr@EqRModel", "EqR"),
        ("trm@TRMModel", "EqR's own TRM"),
        ("recursive_reasoning.trm_singlez@TinyRecursiveReasoningModel_ACTV1", "trm_singlez"),
        ("architectures.trm_hier6@TinyRecursiveReasoningModel_ACTV1", "trm_hier6"),
        ("recursive_reasoning.transformers_baseline@Model_ACTV2", "transformers_baseline"),
        ("recursive_reasoning.trm_cgar@TinyRecursiveReasoningModel_ACTV1_CGAR", "CGAR"),
    ],
)
def test_settings_of_other_architectures_are_refused_by_what_they_are(
    copy_golden: CopyGolden, class_path: str, what: str
) -> None:
    folder = copy_golden("trm")
    change_arch(folder, name=class_path)

    with pytest.raises(CheckpointError, match="It is not run here") as caught:
        open_checkpoint(folder)

    assert what in caught.value.problem


@pytest.mark.parametrize(
    "repo", ["locuslab/EqR-model", "ZoneTwelve/HRM-Sudoku", "kaleemullah/trm-cgar-sudoku"]
)
def test_repositories_of_other_programs_are_known(repo: str) -> None:
    assert find_by_repository(repo) is not None


def change_arch(folder: Path, **changes: Any) -> None:
    path = folder / "all_config.yaml"
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    document["arch"] |= changes
    path.write_text(yaml.safe_dump(document), encoding="utf-8")


def test_hrm_s_maze_checkpoint_opens_on_its_canvas(make_checkpoint: Callable[..., Path]) -> None:
    folder = make_checkpoint(canvas=30, vocab_size=6, num_rows=1)
    (folder / "dataset.json").unlink()
    (folder / "step_7").rename(folder / "checkpoint")

    config = open_checkpoint(folder).config

    assert (config.canvas, config.vocab_size, config.num_rows) == (30, 6, 1)


# Several files


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (["checkpoint", "step_5", "model.safetensors"], ["checkpoint"]),
        (["model.safetensors", "step_5"], ["model.safetensors"]),
        (["step_9", "step_10", "last.ckpt"], ["step_10"]),
        (["step_9_ema", "step_9_all_preds.0", "README.md"], ["step_9_ema"]),
        (["maze_hard_step_32550", ".gitattributes", "all_config.yaml"], ["maze_hard_step_32550"]),
        (["model.ckpt", "step_72385.zip"], ["model.ckpt", "step_72385.zip"]),
        (["pytorch_model.bin", "optimizer.pt", "rng_state.pth"], ["pytorch_model.bin"]),
        (["step_2000.partial", ".step_5.partial", "trm.py", "puzzles.json", "training.png"], []),
    ],
)
def test_one_rule_chooses_the_weights(names: list[str], chosen: list[str]) -> None:
    assert choose_weights(names) == chosen


def test_several_unknown_files_are_named(copy_golden: CopyGolden) -> None:
    folder = copy_golden("trm")
    (folder / "step_1000").rename(folder / "a.pt")
    shutil.copy(folder / "a.pt", folder / "b_step_5")

    with pytest.raises(CheckpointError, match=r"several weights files: a\.pt, b_step_5\. Keep"):
        open_checkpoint(folder)


# Wrappers, averages, buffers, LoRA


def rewrite(folder: Path, change: Callable[[Weights], object]) -> Path:
    path = folder / "step_1000"
    save(change(torch.load(path, weights_only=True)), path)
    return folder


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda w: {"model": w, "state_dict": w}, "several sets of weights: model, state_dict"),
        (lambda w: {"model": w, "ema": w, "averaged_model": w}, "several averages: "),
        (
            lambda w: {"model": w, "ema": {k: v for k, v in w.items() if "lm_head" not in k}},
            "the average of the weights is not of all of them: lm_head.weight",
        ),
        (
            lambda w: {"model": w, "ema": w | {"extra": torch.zeros(2)}},
            "the average of the weights is not of all of them: extra",
        ),
        (lambda w: {"ema": w, "step": 3}, "not a plain mapping of names to tensors"),
        (lambda w: {"model": {}, "step": 3}, "not a plain mapping of names to tensors"),
        (lambda w: w | {"module.lm_head.weight": torch.zeros(2)}, "two tensors of one name"),
        (
            lambda w: w | {PREFIX + "rotary_emb.cos_cached": torch.zeros(101, 16)},
            "rotary_emb.cos_cached is (101, 16), expected (116, 16): the prefix",
        ),
    ],
)
def test_what_is_ambiguous_in_a_file_is_refused(
    copy_golden: CopyGolden, change: Callable[[Weights], object], problem: str
) -> None:
    folder = rewrite(copy_golden("trm"), change)

    with pytest.raises(CheckpointError) as caught:
        open_checkpoint(folder)

    assert caught.value.problem.startswith(problem)


def without(weights: Weights, part: str) -> Weights:
    return {name: one for name, one in weights.items() if part not in name}


LORA_LAYER = PREFIX + "L_level.layers.0.mlp.down_proj._lora_"


@pytest.mark.parametrize(
    ("change", "arch", "problem"),
    [
        (lambda w: w, {"lora_alpha": None}, "unmerged LoRA without arch.lora_alpha"),
        (lambda w: w, {"lora_rank": 4}, "LoRA of rank 2, but arch.lora_rank is 4"),
        (lambda w: without(w, LORA_LAYER + "A"), {}, "unmerged LoRA of an unknown form"),
        (
            lambda w: w | {PREFIX + "lm_head.lora_A.default.weight": torch.zeros(2, 32)},
            {},
            "unmerged LoRA of an unknown form",
        ),
        (
            lambda w: w | {LORA_LAYER + "B": torch.zeros(3, 2)},
            {},
            "the LoRA of L_level.layers.0.mlp.down_proj does not fit its weight",
        ),
        (
            lambda w: without(w, LORA_LAYER.removesuffix("_lora_") + "weight"),
            {},
            "the LoRA of L_level.layers.0.mlp.down_proj does not fit its weight",
        ),
    ],
)
def test_lora_that_cannot_be_merged_is_refused(
    copy_golden: CopyGolden, change: Callable[[Weights], object], arch: dict[str, Any], problem: str
) -> None:
    folder = rewrite(copy_golden("trm-lora"), change)
    change_arch(folder, **arch)

    with pytest.raises(CheckpointError) as caught:
        open_checkpoint(folder)

    assert caught.value.problem.startswith(problem)


# Settings


def test_the_evaluation_s_limit_of_segments_is_read(copy_golden: CopyGolden) -> None:
    folder = copy_golden("trm-lora")
    config = open_checkpoint(folder).config
    assert (config.halt_max_steps, config.max_segments) == (16, 5)
    assert config.arch_document()["halt_max_steps_eval"] == 5

    # The reference takes the setting beside `arch` only where `arch` has none.
    path = folder / "all_config.yaml"
    document = yaml.safe_load(path.read_text(encoding="utf-8")) | {"halt_max_steps_eval": 64}
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    assert open_checkpoint(folder).config.max_segments == 5
    del document["arch"]["halt_max_steps_eval"]
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    assert open_checkpoint(folder).config.max_segments == 64


def test_what_settings_leave_open_is_noted(copy_golden: CopyGolden) -> None:
    folder = copy_golden("trm")
    change_arch(folder, gate_scale=2)
    path = folder / "all_config.yaml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("  puzzle_emb_len: 16\n", ""), encoding="utf-8")

    assert open_checkpoint(folder).notes == (
        "all_config.yaml has no arch.puzzle_emb_len, so TRM's default of 16 was taken",
        "all_config.yaml has settings that are not known here: arch.gate_scale",
    )


@pytest.mark.parametrize("length", [0, 15, 17])
def test_a_prefix_that_contradicts_the_positions_is_refused(
    copy_golden: CopyGolden, length: int
) -> None:
    folder = copy_golden("trm-sudoku-mlp")
    change_arch(folder, puzzle_emb_len=length)

    with pytest.raises(CheckpointError, match="97 positions, which less the") as caught:
        open_checkpoint(folder)

    assert "puzzle_emb_len" in caught.value.hint
