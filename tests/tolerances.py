"""Comparisons of floating-point results that record how much of their tolerance they use.

The numeric tests run on many instruction sets (see tests/integration/test_instruction_sets.py).
TOLERANCE_SHARE limits the share of each tolerance that may be used, and TOLERANCE_LOG names a file
that gets a line for each comparison: the share used and the test.
"""

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch


def assert_within(error: float, limit: float, what: str = "") -> None:
    """Fail when an error exceeds its limit, or the share of it that the environment allows."""
    share = error / limit
    allowed = float(os.environ.get("TOLERANCE_SHARE", "1"))
    log = os.environ.get("TOLERANCE_LOG")
    if log is not None:
        test = os.environ["PYTEST_CURRENT_TEST"].rpartition(" ")[0]
        with Path(log).open("a", encoding="utf-8") as file:
            file.write(f"{share:.4f} {test}\n")
    # Written so that NaN fails.
    assert share <= allowed, f"{what or 'error'} {error:.3e} is {share:.2f} of the allowed {limit}"


def assert_near(found: Any, expected: Any, *, rtol: float = 0.0, atol: float = 0.0) -> None:
    """Fail where a value differs from the expected one by more than atol + rtol * |expected|.

    Shapes: tensors, arrays or sequences of numbers of one shape.
    """
    one, other = _as_array(found), _as_array(expected)
    assert one.shape == other.shape
    error, limit = np.abs(one - other), atol + rtol * np.abs(other)
    assert np.isfinite(error).all()
    # Equal values use nothing, also where the limit is zero.
    shares = np.divide(error, limit, out=np.where(error == 0, 0.0, np.inf), where=limit > 0)
    if shares.size:
        worst = np.unravel_index(shares.argmax(), shares.shape)
        assert_within(float(shares[worst]), 1.0, f"at {worst}: {one[worst]}, share")


def _as_array(values: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
    if isinstance(values, torch.Tensor):
        values = values.detach().double().cpu().numpy()
    return np.asarray(values, dtype=np.float64)
