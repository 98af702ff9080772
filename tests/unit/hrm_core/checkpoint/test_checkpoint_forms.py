"""The forms in which checkpoints are published: one network, whatever file it lies in."""

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from hrm_core import (
    Checkpoint,
    CheckpointError,
    Engine,
    EngineConfig,
    Sample,
    open_checkpoint,
)
from hrm_core.model.attention_choice import load_backend

pytestmark = pytest.mark.usefixtures("one_thread")

CopyGolden = Callable[[str], Path]
MakeCheckpoint = Callable[..., Path]
PREFIX = "_orig_mod.model.inner."
CPU = torch.device("cpu")


def load_weights(folder: Path) -> dict[str, torch.Tensor]:
    weights: dict[str, torch.Tensor] = torch.load(folder / "step_1000", weights_only=True)
    return weights


def answers(checkpoint: Checkpoint) -> list[tuple[bytes, float, float]]:
    config = checkpoint.config
    tokens = np.arange(config.seq_len, dtype=np.int32) % config.vocab_size
    engine = Engine(checkpoint, EngineConfig(CPU, num_slots=2))
    rows = checkpoint.rows.gather([1, 7])
    engine.add([Sample(i, tokens, row) for i, row in enumerate(rows)], job="all")
    outcomes = sorted(engine.drain(), key=lambda outcome: int(outcome.sample_id))
    return [(o.tokens.tobytes(), o.q_halt_logit, o.q_continue_logit) for o in outcomes]


@pytest.mark.parametrize("name", ["hrm-rope", "trm-mlp"])
def test_safetensors_give_the_same_network_rows_and_answers(
    copy_golden: CopyGolden, name: str
) -> None:
    folder = copy_golden(name)
    as_torch = open_checkpoint(folder)
    expected = answers(as_torch)
    save_file(load_weights(folder), folder / "model.safetensors")
    (folder / "step_1000").unlink()
    as_safetensors = open_checkpoint(folder)
    assert as_safetensors.config == as_torch.config
    assert as_safetensors.sha256 == as_torch.sha256
    assert as_safetensors.trunk.keys() == as_torch.trunk.keys()
    for key, tensor in as_torch.trunk.items():
        assert torch.equal(as_safetensors.trunk[key], tensor), key
    wanted = [40, 0, 3, 3]
    gathered = as_safetensors.rows.gather(wanted)
    assert gathered.dtype == np.float32
    np.testing.assert_array_equal(gathered, as_torch.rows.gather(wanted))
    np.testing.assert_array_equal(
        as_safetensors.rows.gather(np.array(wanted)), as_torch.rows.gather(np.array(wanted))
    )
    assert answers(as_safetensors) == expected


@pytest.mark.parametrize("prefix", ["model.inner.", "inner.", "_orig_mod.model.inner.", ""])
@pytest.mark.parametrize("kind", ["torch", "safetensors"])
def test_every_published_prefix_is_removed(copy_golden: CopyGolden, kind: str, prefix: str) -> None:
    folder = copy_golden("trm-mlp")
    expected = open_checkpoint(folder)
    expected_answers = answers(expected)
    renamed = {prefix + k.removeprefix(PREFIX): v for k, v in load_weights(folder).items()}
    if kind == "torch":
        torch.save(renamed, folder / "step_1000")
    else:
        (folder / "step_1000").unlink()
        save_file(renamed, folder / "model.safetensors")
    checkpoint = open_checkpoint(folder)
    assert checkpoint.sha256 == expected.sha256
    assert answers(checkpoint) == expected_answers


def test_weights_saved_as_parameters_that_want_gradients_open_alike(
    copy_golden: CopyGolden,
) -> None:
    folder = copy_golden("hrm-rope")
    expected = open_checkpoint(folder).sha256
    weights = {k: torch.nn.Parameter(v) for k, v in load_weights(folder).items()}
    torch.save(weights, folder / "step_1000")
    checkpoint = open_checkpoint(folder)
    assert checkpoint.sha256 == expected
    assert checkpoint.rows.gather([1]).shape == (1, 32)


def test_the_highest_step_wins_and_predictions_are_no_weights(copy_golden: CopyGolden) -> None:
    folder = copy_golden("hrm-rope")
    older = load_weights(folder)
    older[PREFIX + "lm_head.weight"] *= 2
    torch.save(older, folder / "step_999")
    (folder / "step_2000_all_preds.0").write_bytes(b"predictions")
    (folder / "step_2000.partial").write_bytes(b"half")
    (folder / "step_3000").mkdir()
    checkpoint = open_checkpoint(folder)
    assert checkpoint.weights_path == folder / "step_1000"
    torch.save(older, folder / "step_10000")
    assert open_checkpoint(folder).weights_path == folder / "step_10000"


def test_a_file_called_checkpoint_goes_before_steps(copy_golden: CopyGolden) -> None:
    folder = copy_golden("hrm-rope")
    shutil.copyfile(folder / "step_1000", folder / "checkpoint")
    (folder / "step_2000").write_bytes(b"broken")
    assert open_checkpoint(folder).weights_path == folder / "checkpoint"


def test_python_files_beside_the_weights_are_never_imported(
    copy_golden: CopyGolden, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = copy_golden("hrm-rope")
    trace = folder / "it-ran"
    code = f"open({str(trace)!r}, 'w').close()\n"
    for name in ("hrm_act_v1.py", "losses.py", "models.py", "hrm/__init__.py", "hrm/hrm_act_v1.py"):
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(code)
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(folder)
    answers(open_checkpoint(folder))
    assert not trace.exists()
    assert not {"hrm", "hrm_act_v1", "losses", "models"} & sys.modules.keys()


def test_names_are_read_in_row_order(copy_golden: CopyGolden) -> None:
    folder = copy_golden("hrm-rope")
    assert open_checkpoint(folder).names is None
    names = ["<blank>", *(f"puzzle_{i}_é" for i in range(40))]
    (folder / "identifiers.json").write_text(json.dumps(names), encoding="utf-8")
    assert open_checkpoint(folder).names == tuple(names)


@pytest.mark.parametrize(
    ("name", "sha256"), [("hrm-rope", "5f24616454870c76"), ("trm", "27609c12bc5f8e21")]
)
def test_a_checkpoint_keeps_the_identity_it_had_before_there_was_crop(
    golden_folder: Path, name: str, sha256: str
) -> None:
    # Adapted checkpoints are found by the identity of their base.
    assert open_checkpoint(golden_folder / name).sha256.startswith(sha256)


def test_crop_is_a_setting_of_the_folder_written_only_where_it_is_on(
    make_checkpoint: MakeCheckpoint,
) -> None:
    whole, cropped = make_checkpoint("whole"), make_checkpoint("cropped", crop=True)
    assert "crop" not in (whole / "all_config.yaml").read_text(encoding="utf-8")
    assert not open_checkpoint(whole).config.crop
    assert open_checkpoint(cropped).config == replace(open_checkpoint(whole).config, crop=True)
    assert open_checkpoint(cropped).sha256 != open_checkpoint(whole).sha256


def test_crop_with_mlp_t_is_refused(copy_golden: CopyGolden) -> None:
    folder = copy_golden("trm-mlp")
    settings = folder / "all_config.yaml"
    text = settings.read_text(encoding="utf-8")
    settings.write_text(text.replace("arch:", "arch:\n  crop: true", 1), encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"arch\.crop: a network with mlp_t"):
        open_checkpoint(folder)


def test_the_identity_changes_with_weights_rows_names_and_settings(
    copy_golden: CopyGolden,
) -> None:
    folder = copy_golden("hrm-rope")
    seen = {open_checkpoint(folder).sha256}
    assert open_checkpoint(folder).sha256 in seen
    (folder / "identifiers.json").write_text(json.dumps([f"p{i}" for i in range(41)]))
    seen.add(open_checkpoint(folder).sha256)
    config = folder / "all_config.yaml"
    config.write_text(config.read_text().replace("H_cycles: 2", "H_cycles: 3"))
    seen.add(open_checkpoint(folder).sha256)
    for key in ("lm_head.weight", "puzzle_emb.weights"):
        weights = load_weights(folder)
        weights[PREFIX + key][3, 3] += 1
        torch.save(weights, folder / "step_1000")
        seen.add(open_checkpoint(folder).sha256)
    assert len(seen) == 5


def test_the_canvas_comes_from_the_position_tensors_where_nothing_else_has_it(
    copy_golden: CopyGolden,
) -> None:
    for name, cells in (("hrm-learned-wide-emb", 81), ("trm-mlp", 36)):
        folder = copy_golden(name)
        (folder / "dataset.json").unlink()
        config = open_checkpoint(folder).config
        assert config.seq_len == cells
        assert config.canvas**2 == cells


def test_twelve_tokens_without_any_word_on_the_canvas_mean_arc_s(copy_golden: CopyGolden) -> None:
    folder = copy_golden("hrm-rope")
    (folder / "dataset.json").unlink()
    assert open_checkpoint(folder).config.canvas == 30
    assert open_checkpoint(folder, canvas=10).config.canvas == 10


def test_the_loaded_network_needs_no_gradients_and_is_cast_once(golden_folder: Path) -> None:
    checkpoint = open_checkpoint(golden_folder / "hrm-rope")
    network = checkpoint.load_network(load_backend("sdpa"), CPU, torch.float32)
    assert not any(param.requires_grad for param in network.parameters())
    assert not network.training
    assert {param.dtype for param in network.parameters()} == {torch.float32}
