"""The reference implementations' segments, each from its stored carry."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tolerances import assert_within

from hrm_core import Agreement, compare_segments, open_checkpoint

pytestmark = pytest.mark.usefixtures("one_thread")

FLOAT32 = ("hrm-rope", "hrm-learned-wide-emb", "trm", "trm-mlp")
CPU = torch.device("cpu")


def compare(folder: Path) -> Agreement:
    return compare_segments(open_checkpoint(folder), folder / "segments.npz", CPU)


@pytest.mark.parametrize("name", FLOAT32)
def test_golden_float32_segments_match_the_reference(golden_folder: Path, name: str) -> None:
    agreement = compare(golden_folder / name)
    assert agreement.disagreements == ()
    assert agreement.agrees
    assert_within(agreement.max_logit_error, 2e-3)
    assert_within(agreement.max_q_error, 2e-3)
    assert agreement.num_argmax_differing == 0


@pytest.mark.parametrize("name", FLOAT32)
def test_golden_comparison_covers_every_stored_segment_and_nearly_every_cell(
    golden_folder: Path, name: str
) -> None:
    agreement = compare(golden_folder / name)
    with np.load(golden_folder / name / "segments.npz") as stored:
        num_segments, num_samples, num_cells, _ = stored["logits"].shape
    assert (agreement.num_segments, agreement.num_samples) == (num_segments, num_samples)
    assert agreement.num_argmax_compared > 0.95 * num_segments * num_samples * num_cells


def test_golden_bfloat16_segments_are_as_close_to_float32_as_the_reference_s(
    golden_folder: Path,
) -> None:
    agreement = compare(golden_folder / "hrm-bf16")
    assert agreement.dtype == "bfloat16"
    assert agreement.agrees
    assert agreement.rms_error is not None
    assert agreement.rms_allowed is not None
    assert agreement.rms_error > 0
    assert_within(agreement.rms_error, agreement.rms_allowed)


def test_golden_fresh_carry_is_the_init_vectors_at_every_position(
    golden_folder: Path,
) -> None:
    for name in FLOAT32:
        checkpoint = open_checkpoint(golden_folder / name)
        with np.load(golden_folder / name / "segments.npz") as stored:
            for key in ("H_init", "L_init"):
                first = stored[f"z_{key[0]}_before"][0]
                fresh = checkpoint.trunk[key].numpy()
                np.testing.assert_array_equal(first, np.broadcast_to(fresh, first.shape))
