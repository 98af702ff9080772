"""`compare_segments`: it finds what disagrees, and refuses files that are none of the model's."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hrm_core import Agreement, AgreementError, compare_segments, open_checkpoint

pytestmark = pytest.mark.usefixtures("one_thread")

CopyGolden = Callable[[str], Path]
Arrays = dict[str, np.ndarray[Any, Any]]
CPU = torch.device("cpu")


def compare(folder: Path) -> Agreement:
    return compare_segments(open_checkpoint(folder), folder / "segments.npz", CPU)


def change_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    weights = torch.load(folder / "step_1000", weights_only=True)
    change(weights)
    torch.save(weights, folder / "step_1000")


def change_arrays(folder: Path, change: Callable[[Arrays], object]) -> None:
    with np.load(folder / "segments.npz") as stored:
        arrays = dict(stored)
    change(arrays)
    np.savez(folder / "segments.npz", **arrays)


@pytest.mark.parametrize(
    "key", ["L_level.layers.1.mlp.down_proj.weight", "lm_head.weight", "puzzle_emb.weights"]
)
def test_one_changed_weight_matrix_disagrees(copy_golden: CopyGolden, key: str) -> None:
    folder = copy_golden("hrm-rope")
    change_weights(folder, lambda weights: weights["_orig_mod.model.inner." + key].mul_(1.05))
    agreement = compare(folder)
    assert not agreement.agrees
    assert agreement.max_logit_error > 2e-3
    assert any("logits differ" in sentence for sentence in agreement.disagreements)


def test_a_changed_q_head_disagrees_in_q_only(copy_golden: CopyGolden) -> None:
    folder = copy_golden("trm")
    change_weights(folder, lambda weights: weights["_orig_mod.model.inner.q_head.bias"].add_(0.01))
    agreement = compare(folder)
    assert agreement.max_logit_error <= 2e-3
    assert [s.split(":")[1].split(" differ")[0] for s in agreement.disagreements] == [
        " q logits"
    ] * agreement.num_segments


def test_a_coarser_bfloat16_network_disagrees(copy_golden: CopyGolden) -> None:
    folder = copy_golden("hrm-bf16")

    def coarsen(weights: dict[str, torch.Tensor]) -> None:
        for key, value in weights.items():
            if "layers" in key:
                value.copy_(value.to(torch.float8_e4m3fn).float())

    change_weights(folder, coarsen)
    agreement = compare(folder)
    assert not agreement.agrees
    assert "root mean square" in agreement.disagreements[0]


def test_outputs_that_are_no_numbers_disagree(copy_golden: CopyGolden) -> None:
    folder = copy_golden("hrm-rope")
    change_arrays(folder, lambda arrays: arrays["logits"].__setitem__((1, 0, 3, 2), np.nan))
    agreement = compare(folder)
    assert [sentence.split(":")[0] for sentence in agreement.disagreements] == ["segment 1"]


def test_a_wrong_prediction_is_counted(copy_golden: CopyGolden) -> None:
    folder = copy_golden("hrm-rope")
    change_arrays(folder, lambda arrays: arrays["logits"][2, 1, 7].__imul__(-1))
    agreement = compare(folder)
    assert agreement.num_argmax_differing == 1
    assert any("predict another token" in sentence for sentence in agreement.disagreements)


def refused(folder: Path) -> AgreementError:
    with pytest.raises(AgreementError) as caught:
        compare(folder)
    assert caught.value.path == folder / "segments.npz"
    return caught.value


def test_a_missing_file_is_refused(copy_golden: CopyGolden) -> None:
    folder = copy_golden("trm")
    (folder / "segments.npz").unlink()
    assert "no such file" in refused(folder).problem


@pytest.mark.parametrize("share", [0.0, 0.2, 0.6, 0.999])
def test_a_truncated_file_is_refused(copy_golden: CopyGolden, share: float) -> None:
    folder = copy_golden("trm")
    content = (folder / "segments.npz").read_bytes()
    (folder / "segments.npz").write_bytes(content[: int(share * len(content))])
    assert "damaged" in refused(folder).problem


@pytest.mark.parametrize("seed", range(20))
def test_a_file_with_wrong_bytes_is_refused_or_compared(copy_golden: CopyGolden, seed: int) -> None:
    folder = copy_golden("trm-mlp")
    rng = np.random.default_rng(seed)
    content = np.frombuffer((folder / "segments.npz").read_bytes(), dtype=np.uint8).copy()
    places = np.concatenate((rng.integers(0, 200, 4), rng.integers(0, len(content), 4)))
    content[places] = rng.integers(0, 256, len(places))
    content[-1 - int(rng.integers(0, 900))] ^= 255
    (folder / "segments.npz").write_bytes(content.tobytes())
    try:
        outcome: object = compare(folder)
    except AgreementError as error:
        outcome = error
    assert isinstance(outcome, Agreement | AgreementError)


def test_pickled_objects_are_refused_unread(copy_golden: CopyGolden, tmp_path: Path) -> None:
    folder = copy_golden("trm")
    trace = tmp_path / "ran"

    class Touch:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (trace,)

    change_arrays(
        folder, lambda arrays: arrays.update(inputs=np.array([Touch()] * 3, dtype=object))
    )
    assert "damaged" in refused(folder).problem
    assert not trace.exists()


def test_a_single_array_is_refused(copy_golden: CopyGolden) -> None:
    folder = copy_golden("trm")
    with (folder / "segments.npz").open("wb") as file:
        np.save(file, np.zeros(3))
    assert "single array" in refused(folder).problem


@pytest.mark.parametrize(
    "name",
    [
        "inputs",
        "puzzle_identifiers",
        "z_H_before",
        "z_L_before",
        "logits",
        "q_halt_logits",
        "q_continue_logits",
    ],
)
def test_a_file_without_one_of_the_arrays_is_refused(copy_golden: CopyGolden, name: str) -> None:
    folder = copy_golden("trm")
    change_arrays(folder, lambda arrays: arrays.pop(name))
    assert refused(folder).problem == f"lacks {name}"


def test_half_precision_without_float32_outputs_is_refused_in_those_words(
    copy_golden: CopyGolden,
) -> None:
    folder = copy_golden("hrm-bf16")
    change_arrays(folder, lambda arrays: arrays.pop("logits_float32"))
    assert "lacks logits_float32 (needed for bfloat16)" in refused(folder).problem


def test_a_file_of_another_model_is_refused(golden_folder: Path) -> None:
    checkpoint = open_checkpoint(golden_folder / "trm-mlp")
    with pytest.raises(AgreementError, match=r"inputs is \(3, 100\), the model expects \(3, 36\)"):
        compare_segments(checkpoint, golden_folder / "trm" / "segments.npz", CPU)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda a: a.update(inputs=a["inputs"] + 12), "inputs goes outside 0..11"),
        (lambda a: a.update(puzzle_identifiers=a["puzzle_identifiers"] - 99), "outside 0..40"),
        (lambda a: a.update(inputs=a["inputs"].astype(np.float32)), "inputs holds float32"),
        (lambda a: a.update(logits=a["logits"][:2]), r"logits is (2, 3, 100, 12)"),
        (lambda a: a.update(z_L_before=a["z_L_before"][..., :-1]), "z_L_before is"),
        (lambda a: a.update(q_halt_logits=np.zeros((0, 3))), "no segments"),
        (lambda a: a.update(q_halt_logits=np.float32(1)), "no segments"),
    ],
)
def test_arrays_that_do_not_fit_the_model_are_refused(
    copy_golden: CopyGolden, change: Callable[[Arrays], object], problem: str
) -> None:
    folder = copy_golden("trm")
    change_arrays(folder, change)
    assert problem in refused(folder).problem
