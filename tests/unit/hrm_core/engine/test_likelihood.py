"""Log likelihoods of known answers, against the golden logits of the reference."""

from pathlib import Path

import numpy as np
import pytest
import torch

from hrm_core import Engine, EngineConfig, open_checkpoint

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("num_slots", [1, 3, 64])
def test_they_follow_from_the_references_logits_of_the_first_segment(
    golden_folder: Path, num_slots: int
) -> None:
    golden = np.load(golden_folder / "hrm-rope" / "segments.npz")
    checkpoint = open_checkpoint(golden_folder / "hrm-rope")
    engine = Engine(checkpoint, EngineConfig(torch.device("cpu"), num_slots=num_slots))
    tokens = golden["inputs"].astype(np.int32)
    labels = np.roll(tokens, 1, axis=0)
    labels[:, :5] = 0  # PAD: not counted
    logits = golden["logits"][0].astype(np.float64)
    weights = np.where(logits >= 0, logits + 1, 1 / (1 - np.minimum(logits, 0)))
    chosen = np.take_along_axis(weights, labels[..., None].astype(np.int64), -1)[..., 0]
    log_shares = np.log(chosen / weights.sum(-1))
    is_label = labels != 0
    expected = (log_shares * is_label).sum(1) / is_label.sum(1)

    rows = checkpoint.rows.gather(golden["puzzle_identifiers"])
    found = engine.log_likelihoods(tokens, rows, labels)

    np.testing.assert_allclose(found, expected, atol=2e-3)
    assert np.ptp(expected) > 0.01
