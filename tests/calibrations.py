"""A calibration with known coefficients."""

from typing import Any

from service.solving.confidence import FEATURES

COEFFICIENTS = {
    "share": 2.0,
    "lead": 1.0,
    "is_first": 0.5,
    "log_votes": 0.25,
    "abstained_share": -0.5,
    "mean_q": 1.0,
    "held_out_share": 1.5,
    "has_held_out": -0.5,
    "equals_input": -3.0,
    "is_trained": 0.5,
}


def calibration_document(checkpoint_sha256: str) -> dict[str, Any]:
    """Return the JSON values of a calibration of a checkpoint."""
    assessment = {
        "samples": 40,
        "calibration_error": 0.05,
        "brier": 0.1,
        "votes_calibration_error": 0.2,
        "votes_brier": 0.3,
    }
    road = {"samples": 40, "right": 20, "puzzles": 10, "known_puzzles": 0}
    return {
        "version": 1,
        "checkpoint_sha256": checkpoint_sha256,
        "intercept": -2.0,
        "features": [
            {
                "name": feature.name,
                "mean": 0.0,
                "scale": 1.0,
                "low": 0.0,
                "high": 5.0 if feature.name == "log_votes" else 1.0,
                "coefficient": COEFFICIENTS[feature.name],
            }
            for feature in FEATURES
        ],
        "l2": 1.0,
        "roads": {"adapted": road, "trained": road},
        "cross_validation": {"folds": 5, "attempts": assessment, "first_attempts": assessment},
        "fitted": {"method": "made up"},
    }
