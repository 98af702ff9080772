"""Checkpoint folders that cannot be used: each is refused, naming the file at fault and a mend."""

import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import save_file

from hrm_core import Checkpoint, CheckpointError, open_checkpoint

CopyGolden = Callable[[str], Path]
Weights = dict[str, torch.Tensor]
PREFIX = "_orig_mod.model.inner."


@pytest.fixture
def folder(copy_golden: CopyGolden) -> Path:
    """Return a checkpoint folder that opens, to be damaged."""
    path = copy_golden("hrm-rope")
    open_checkpoint(path)
    return path


def refused(folder: Path, canvas: int | None = None) -> CheckpointError:
    with pytest.raises(CheckpointError) as caught:
        open_checkpoint(folder, canvas)
    error = caught.value
    assert error.hint
    assert str(error) == f"{error.path}: {error.problem}. {error.hint}"
    return error


def change_arch(folder: Path, **changes: Any) -> None:
    path = folder / "all_config.yaml"
    document = yaml.safe_load(path.read_text())
    document["arch"].update(changes)
    path.write_text(yaml.safe_dump(document))


def change_weights(folder: Path, change: Callable[[Weights], object]) -> None:
    path = folder / "step_1000"
    weights: Weights = torch.load(path, weights_only=True)
    change(weights)
    torch.save(weights, path)


def change_dataset(folder: Path, **changes: Any) -> None:
    path = folder / "dataset.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


# The folder and its configuration


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    error = refused(tmp_path / "nowhere")
    assert error.path == tmp_path / "nowhere"
    assert error.problem == "no such folder"


def test_a_file_in_place_of_the_folder_is_refused(folder: Path) -> None:
    assert refused(folder / "step_1000").problem == "no such folder"


def test_a_missing_configuration_is_refused(folder: Path) -> None:
    (folder / "all_config.yaml").unlink()
    error = refused(folder)
    assert error.path == folder / "all_config.yaml"
    assert error.problem == "missing"


@pytest.mark.parametrize(
    "content",
    [
        b"arch: [unclosed",
        b"arch:\n\t- tab",
        b"\xff\xfe\xfa\x00",
        b"a: 2001-99-99",
        b"[" * 700,
        b"arch: !!python/object/apply:os.getcwd []",
        b"a0: &a0 [x, x]\n"
        + b"".join(b"a%d: &a%d [*a%d, *a%d]\n" % (n, n, n - 1, n - 1) for n in range(1, 40)),
        b"arch: {" + b" " * (1 << 18) + b"}",
    ],
    ids=["unclosed", "tab", "not-utf8", "no-date", "nested", "python-tag", "aliases", "large"],
)
def test_a_configuration_that_is_no_yaml_is_refused(folder: Path, content: bytes) -> None:
    (folder / "all_config.yaml").write_bytes(content)
    error = refused(folder)
    assert error.path == folder / "all_config.yaml"
    assert error.problem.startswith("not readable as YAML")
    assert "\n" not in str(error)


def test_a_folder_in_place_of_the_configuration_is_refused(folder: Path) -> None:
    (folder / "all_config.yaml").unlink()
    (folder / "all_config.yaml").mkdir()
    assert refused(folder).path == folder / "all_config.yaml"


@pytest.mark.parametrize("content", ["", "7", "- arch", "arch: 3", "arch: [1]", "other: {}"])
def test_a_configuration_without_the_model_s_settings_is_refused(
    folder: Path, content: str
) -> None:
    (folder / "all_config.yaml").write_text(content)
    assert "no mapping `arch`" in refused(folder).problem


@pytest.mark.parametrize(
    "name",
    [
        "hrm.hrm_act_v1@SomethingElse",
        "recursive_reasoning.trm@TinyRecursiveReasoningModel_ACTV1b",
        "",
        "HierarchicalReasoningModel_ACTV1@",
    ],
)
def test_an_unknown_architecture_is_refused_naming_the_known_ones(folder: Path, name: str) -> None:
    change_arch(folder, name=name)
    error = refused(folder)
    assert "unknown architecture" in error.problem
    assert "TinyRecursiveReasoningModel_ACTV1" in error.problem


@pytest.mark.parametrize(
    "setting",
    [
        "name",
        "H_cycles",
        "L_cycles",
        "H_layers",
        "L_layers",
        "hidden_size",
        "num_heads",
        "expansion",
        "halt_max_steps",
        "pos_encodings",
    ],
)
def test_a_missing_setting_is_refused_by_name(folder: Path, setting: str) -> None:
    path = folder / "all_config.yaml"
    document = yaml.safe_load(path.read_text())
    del document["arch"][setting]
    path.write_text(yaml.safe_dump(document))
    assert refused(folder).problem == f"arch.{setting} is missing"


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("name", 3),
        ("H_cycles", 2.0),
        ("H_cycles", "2"),
        ("L_cycles", 0),
        ("L_cycles", True),
        ("hidden_size", None),
        ("hidden_size", -32),
        ("hidden_size", 10**9),
        ("num_heads", [2]),
        ("halt_max_steps", "${halt}"),
        ("expansion", "wide"),
        ("expansion", -4),
        ("expansion", float("nan")),
        ("expansion", 10**400),
        ("expansion", True),
        ("rope_theta", 0),
        ("rms_norm_eps", "1e-5x"),
        ("rms_norm_eps", float("inf")),
        ("pos_encodings", "sinusoidal"),
        ("pos_encodings", "none"),  # only TRM's copy of HRM knows it
        ("pos_encodings", None),
        ("forward_dtype", "float64"),
        ("forward_dtype", ["bfloat16"]),
        ("puzzle_emb_ndim", -1),
        ("puzzle_emb_ndim", "${.hidden_size}"),
    ],
)
def test_a_setting_of_the_wrong_kind_is_refused_by_name(
    folder: Path, setting: str, value: object
) -> None:
    change_arch(folder, **{setting: value})
    error = refused(folder)
    assert error.path == folder / "all_config.yaml"
    assert error.problem.startswith(f"arch.{setting}: ")


@pytest.mark.parametrize(
    "value", ["*a4", "0x" + "f" * 5000, "[" * 90 + "]" * 90, "'" + "x" * 5000 + "'"]
)
def test_a_setting_without_end_is_refused_in_few_words(folder: Path, value: str) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 2)}]" for i in range(1, 5)]
    text = (folder / "all_config.yaml").read_text()
    text = text.replace("num_heads: 2", f"num_heads: {value}")
    (folder / "all_config.yaml").write_text("\n".join(lines) + "\n" + text)
    error = refused(folder)
    assert error.problem.startswith("arch.num_heads: ")
    assert len(error.problem) < 200


@pytest.mark.parametrize("heads", [3, 32])
def test_heads_that_do_not_divide_the_hidden_size_evenly_are_refused(
    folder: Path, heads: int
) -> None:
    change_arch(folder, num_heads=heads)
    assert f"does not divide into {heads} heads" in refused(folder).problem


def test_a_row_that_does_not_fit_trm_s_prefix_is_refused(copy_golden: CopyGolden) -> None:
    folder = copy_golden("trm")
    change_arch(folder, puzzle_emb_ndim=32 * 16 + 1)
    assert "does not fit into 16 positions" in refused(folder).problem


# The weights


def test_a_folder_without_weights_is_refused(folder: Path) -> None:
    (folder / "step_1000").unlink()
    (folder / "step_5_all_preds.0").write_bytes(b"predictions")
    assert "no weights" in refused(folder).problem


def test_two_safetensors_files_are_refused(folder: Path) -> None:
    for name in ("a.safetensors", "b.safetensors"):
        (folder / name).write_bytes(b"")
    assert refused(folder).problem == "several weights files: a.safetensors, b.safetensors"


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.9, 0.9999])
@pytest.mark.parametrize("kind", ["torch", "safetensors"])
def test_a_truncated_weights_file_is_refused(folder: Path, kind: str, share: float) -> None:
    path = folder / "step_1000"
    if kind == "safetensors":
        weights = torch.load(path, weights_only=True)
        path.unlink()
        path = folder / "model.safetensors"
        save_file(weights, path)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    error = refused(folder)
    assert error.path == path
    assert "cut short" in error.problem


@pytest.mark.parametrize(
    "content", [b"not weights at all\n" * 50, b"\x80\x02}q\x00.", b"PK\x03\x04"]
)
def test_a_file_that_is_no_weights_is_refused(folder: Path, content: bytes) -> None:
    (folder / "step_1000").write_bytes(content)
    assert refused(folder).path == folder / "step_1000"


@pytest.mark.parametrize("kind", ["torch", "safetensors"])
@pytest.mark.parametrize("seed", range(15))
def test_wrong_bytes_in_a_weights_file_are_refused_or_harmless(
    folder: Path, kind: str, seed: int
) -> None:
    path = folder / "step_1000"
    if kind == "safetensors":
        weights = torch.load(path, weights_only=True)
        path.unlink()
        path = folder / "model.safetensors"
        save_file(weights, path)
    rng = np.random.default_rng(seed)
    content = np.frombuffer(path.read_bytes(), dtype=np.uint8).copy()
    near_the_start = rng.integers(0, 3000, 12)  # names, shapes, offsets
    content[near_the_start] = rng.integers(0, 256, 12)
    path.write_bytes(content.tobytes())
    try:
        outcome: object = open_checkpoint(folder)
    except CheckpointError as error:
        outcome = error
    assert isinstance(outcome, Checkpoint | CheckpointError)


@pytest.mark.parametrize("form", ["zip", "legacy", "bare pickle"])
def test_code_in_place_of_weights_never_runs(folder: Path, tmp_path: Path, form: str) -> None:
    trace = tmp_path / "it-ran"
    path = folder / "step_1000"

    class Touch:
        def __reduce__(self) -> tuple[object, ...]:
            return os.mkdir, (str(trace),)

    if form == "bare pickle":
        path.write_bytes(pickle.dumps({"lm_head.weight": Touch()}))
        pickle.loads(path.read_bytes())
    else:
        torch.save({"x": Touch()}, path, _use_new_zipfile_serialization=form == "zip")
        torch.load(path, weights_only=False)
    assert trace.exists(), "the trap itself must work"
    trace.rmdir()
    assert refused(folder).path == path
    assert not trace.exists()


@pytest.mark.parametrize(
    "content",
    [[1, 2], {"weights": {"a": torch.zeros(1)}}, {1: torch.zeros(1)}, {"step": 3}, torch.zeros(2)],
    ids=["list", "nested", "numbered", "number", "tensor"],
)
def test_weights_that_are_no_mapping_of_names_to_tensors_are_refused(
    folder: Path, content: object
) -> None:
    torch.save(content, folder / "step_1000")
    assert refused(folder).problem == "not a plain mapping of names to tensors"


@pytest.mark.parametrize("kind", ["torch", "safetensors"])
@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (
            lambda w: w.pop(PREFIX + "lm_head.weight"),
            "lacks lm_head.weight",
        ),
        (
            lambda w: [w.pop(key) for key in list(w) if "L_level" in key and "self_attn" in key],
            "lacks L_level.layers.0.self_attn.o_proj.weight, "
            "L_level.layers.0.self_attn.qkv_proj.weight, "
            "L_level.layers.1.self_attn.o_proj.weight and 1 more",
        ),
        (
            lambda w: w.update({PREFIX + "extra.weight": torch.zeros(2)}),
            "has unexpected extra.weight",
        ),
        (
            lambda w: w.update({PREFIX + "lm_head.weight": torch.zeros(12, 31)}),
            "lm_head.weight is (12, 31), expected (12, 32)",
        ),
        (
            lambda w: w.update({PREFIX + "q_head.bias": torch.zeros(2, dtype=torch.int64)}),
            "q_head.bias holds no finite floating numbers",
        ),
        (
            lambda w: w[PREFIX + "q_head.bias"].fill_(float("nan")),
            "q_head.bias holds no finite floating numbers",
        ),
        (lambda w: w.pop(PREFIX + "puzzle_emb.weights"), "lacks puzzle_emb.weights"),
        (
            lambda w: w.update({PREFIX + "puzzle_emb.weights": torch.zeros(41, 16)}),
            "puzzle_emb.weights has rows of 16, expected 32",
        ),
        (
            lambda w: w.update({PREFIX + "puzzle_emb.weights": torch.zeros(41)}),
            "puzzle_emb.weights is (41,), expected rows",
        ),
        (
            lambda w: w.pop(PREFIX + "embed_tokens.embedding_weight"),
            "no embed_tokens.embedding_weight [vocab, D]",
        ),
        (
            lambda w: w.update({PREFIX + "embed_tokens.embedding_weight": torch.zeros(300, 32)}),
            "a vocabulary of 300",
        ),
        (
            lambda w: w.update({"lm_head.weight": torch.zeros(12, 32)}),
            "two tensors of one name",
        ),
        (
            lambda w: [w.pop(key) for key in list(w) if "H_level.layers.1" in key],
            "H_level has 1 layers, but arch.H_layers is 2",
        ),
        (lambda w: w.clear(), "no embed_tokens.embedding_weight [vocab, D]"),
    ],
)
def test_weights_that_do_not_fit_the_configuration_are_refused(
    folder: Path, kind: str, change: Callable[[Weights], object], problem: str
) -> None:
    change_weights(folder, change)
    path = folder / "step_1000"
    if kind == "safetensors":
        weights = torch.load(path, weights_only=True)
        path.unlink()
        path = folder / "model.safetensors"
        save_file(weights, path)
    error = refused(folder)
    assert error.problem == problem
    assert error.path == path


def test_a_depth_beyond_the_weights_is_refused_without_building_it(folder: Path) -> None:
    change_arch(folder, L_layers=60_000)
    assert refused(folder).problem == "L_level has 2 layers, but arch.L_layers is 60000"


def test_a_table_without_the_setting_for_it_is_refused(folder: Path) -> None:
    change_arch(folder, puzzle_emb_ndim=0)
    assert "has puzzle_emb.weights, but arch.puzzle_emb_ndim is 0" in refused(folder).problem


def test_trm_weights_under_an_hrm_configuration_are_refused(copy_golden: CopyGolden) -> None:
    folder = copy_golden("trm")
    change_arch(folder, name="hrm.hrm_act_v1@HierarchicalReasoningModel_ACTV1", H_layers=2)
    assert "H_level has 0 layers, but arch.H_layers is 2" in refused(folder).problem


def test_hrm_weights_under_a_trm_configuration_are_refused(folder: Path) -> None:
    change_arch(folder, name="recursive_reasoning.trm@TinyRecursiveReasoningModel_ACTV1")
    assert "has unexpected H_level.layers.0" in refused(folder).problem


# What lies beside the weights


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"seq_len": "100"}, "no whole number seq_len"),
        ({"seq_len": None}, "no whole number seq_len"),
        ({"seq_len": 100.0}, "no whole number seq_len"),
        ({"seq_len": True}, "no whole number seq_len"),
        ({"vocab_size": 11}, "vocab_size 11, but the weights have 12"),
        ({"vocab_size": "12"}, "vocab_size '12', but the weights have 12"),
        ({"num_puzzle_identifiers": 40}, "num_puzzle_identifiers 40, but the weights have 41"),
    ],
)
def test_a_dataset_json_that_contradicts_the_weights_is_refused(
    folder: Path, changes: dict[str, Any], problem: str
) -> None:
    change_dataset(folder, **changes)
    error = refused(folder)
    assert error.path == folder / "dataset.json"
    assert error.problem == problem


@pytest.mark.parametrize("content", ["", "{", "[1]", "{}", '{"seq_len": NaN}', "[" * 100_000])
def test_a_damaged_dataset_json_is_refused(folder: Path, content: str) -> None:
    (folder / "dataset.json").write_text(content)
    assert refused(folder).path == folder / "dataset.json"


@pytest.mark.parametrize("seq_len", [0, -100, 10**9, 10**30])
def test_a_dataset_json_of_an_impossible_size_is_refused(folder: Path, seq_len: int) -> None:
    change_dataset(folder, seq_len=seq_len)
    assert "no canvas has so many cells" in refused(folder).problem


@pytest.mark.parametrize("name", ["hrm-learned-wide-emb", "trm-mlp"])
def test_a_dataset_json_that_contradicts_the_position_tensors_is_refused(
    copy_golden: CopyGolden, name: str
) -> None:
    folder = copy_golden(name)
    change_dataset(folder, seq_len=64)
    error = refused(folder)
    assert "contradictory: dataset.json says 64" in error.problem


def test_a_canvas_option_that_contradicts_dataset_json_is_refused(folder: Path) -> None:
    open_checkpoint(folder, canvas=10)
    error = refused(folder, canvas=30)
    assert "dataset.json says 100, --canvas says 900" in error.problem


def test_a_folder_that_lacks_its_canvas_asks_for_the_option(
    make_checkpoint: Callable[..., Path],
) -> None:
    folder = make_checkpoint(vocab_size=13)
    (folder / "dataset.json").unlink()
    error = refused(folder)
    assert "the canvas's size is unknown" in error.problem
    assert "--canvas" in error.hint
    assert open_checkpoint(folder, canvas=4).config.seq_len == 16


def test_an_impossible_canvas_option_is_refused(make_checkpoint: Callable[..., Path]) -> None:
    folder = make_checkpoint(vocab_size=11)
    (folder / "dataset.json").unlink()
    assert "--canvas says 0" in refused(folder, canvas=0).problem


@pytest.mark.parametrize("num_names", [40, 42])
def test_more_or_fewer_names_than_rows_are_refused(folder: Path, num_names: int) -> None:
    (folder / "identifiers.json").write_text(json.dumps([f"p{i}" for i in range(num_names)]))
    error = refused(folder)
    assert error.path == folder / "identifiers.json"
    assert error.problem == f"{num_names} names, but the table has 41 rows"


@pytest.mark.parametrize(
    "content",
    [
        '{"a": 1}',
        "3",
        '"abc"',
        "null",
        json.dumps([*["p"] * 40, 7]),
        json.dumps([*["p"] * 40, None]),
        json.dumps(["p"] * 40)[:-1] + ', "\\ud800"]',
    ],
)
def test_names_that_are_no_list_of_strings_are_refused(folder: Path, content: str) -> None:
    (folder / "identifiers.json").write_text(content)
    assert refused(folder).problem == "not a JSON list of names"


@pytest.mark.parametrize("content", [b"[", b"\xff\xfe", b"", b"[" * 100_000])
def test_names_that_are_no_json_are_refused(folder: Path, content: bytes) -> None:
    (folder / "identifiers.json").write_bytes(content)
    assert refused(folder).problem.startswith("not readable as JSON")
