"""The fit of a calibration: from samples of attempts, kept as JSON lines, to `confidence.json`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from augment import write_atomically
from service.solving.confidence import (
    FEATURES,
    SIGNS,
    Assessment,
    AttemptFeatures,
    Calibration,
    CrossValidation,
    FittedFeature,
    Road,
    RoadSamples,
    limit_sum,
)
from service.wire.errors import InputError
from voting import brier_score, calibration_error, cross_validate, fit_logistic, reliability
from voting.calibration import NUM_FOLDS

SAMPLES_PATTERN: Final = "samples-*.jsonl"
# The strength of the penalty: that of an observation or so for each feature, so that it shows only
# where there are few samples.
L2: Final = 1.0
# Fewer right or wrong attempts than this say too little about ten features.
MIN_OUTCOMES: Final = 20


class Sample(BaseModel):
    """An attempt at a held-out demonstration, and whether it was right.

    `point` is the share of the adaptation's budget that was used, `kept_share` the share of the
    ballots that were counted. Attempts with the same puzzle, road, point and kept share are those
    of one vote, the best first by `rank`. `is_known`: the checkpoint had rows for the puzzle.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    checkpoint_sha256: str
    puzzle: str
    road: Road
    point: float
    kept_share: float
    rank: int
    is_known: bool
    features: AttemptFeatures
    is_right: bool

    @property
    def vote(self) -> tuple[object, ...]:
        """What identifies the vote that the attempt belongs to."""
        return (self.road, self.puzzle, self.point, self.kept_share)


def write_samples(path: Path, samples: Sequence[Sample]) -> None:
    """Write samples as JSON lines, in one move.

    Raises: OSError.
    """
    write_atomically(path, (sample.model_dump_json() + "\n" for sample in samples))


def read_samples(folder: Path) -> tuple[Sample, ...]:
    """Read the samples of all files in a folder, in the order of their names.

    Raises: InputError for no samples, or a file that is damaged.
    """
    paths = sorted(folder.glob(SAMPLES_PATTERN))
    samples = tuple(sample for path in paths for sample in read_sample_file(path))
    if not samples:
        raise InputError(
            f"{folder} holds no samples ({SAMPLES_PATTERN}): collect some with --tasks"
        )
    return samples


def read_sample_file(path: Path) -> tuple[Sample, ...]:
    """Read a file of samples.

    Raises: InputError where it is damaged; OSError.
    """
    samples = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            samples.append(Sample.model_validate_json(line))
        except ValidationError as error:
            raise InputError(
                f"{path}, line {number}, is no sample of this version: remove the file, and "
                "collect its samples again with --tasks"
            ) from error
    return tuple(samples)


def fit_calibration(samples: Sequence[Sample], fitted: Mapping[str, Any]) -> Calibration:
    """Fit a calibration, and assess it by fits that leave out a fifth of the puzzles each.

    `fitted` describes how the samples were made.

    Raises: InputError for too few samples, or samples of several checkpoints.
    """
    hashes = {sample.checkpoint_sha256 for sample in samples}
    if len(hashes) > 1:
        raise InputError(f"the samples are of {len(hashes)} checkpoints: keep one's in a folder")
    features = np.array([sample.features.values for sample in samples], dtype=np.float64)
    outcomes = np.array([sample.is_right for sample in samples], dtype=bool)
    num_right = int(outcomes.sum())
    if min(num_right, len(samples) - num_right) < MIN_OUTCOMES:
        raise InputError(
            f"of {len(samples)} attempts {num_right} are right: a calibration needs at least "
            f"{MIN_OUTCOMES} right and {MIN_OUTCOMES} wrong ones. Give more puzzles, or more time"
        )
    model = fit_logistic(features, outcomes, SIGNS, L2)
    return Calibration(
        checkpoint_sha256=samples[0].checkpoint_sha256,
        intercept=model.intercept,
        features=tuple(
            FittedFeature(
                name=feature.name,
                mean=model.means[index],
                scale=model.scales[index],
                low=model.lows[index],
                high=model.highs[index],
                coefficient=model.coefficients[index],
            )
            for index, feature in enumerate(FEATURES)
        ),
        l2=L2,
        roads=_count_roads(samples),
        cross_validation=_cross_validate(samples, features, outcomes),
        fitted=dict(fitted),
    )


def _count_roads(samples: Sequence[Sample]) -> dict[Road, RoadSamples]:
    counts: dict[Road, RoadSamples] = {}
    for road in sorted({sample.road for sample in samples}):
        mine = [sample for sample in samples if sample.road == road]
        counts[road] = RoadSamples(
            samples=len(mine),
            right=sum(sample.is_right for sample in mine),
            puzzles=len({sample.puzzle for sample in mine}),
            known_puzzles=len({sample.puzzle for sample in mine if sample.is_known}),
        )
    return counts


def _cross_validate(
    samples: Sequence[Sample], features: np.ndarray, outcomes: np.ndarray
) -> CrossValidation:
    groups = [sample.puzzle for sample in samples]
    probabilities = cross_validate(features, outcomes, groups, SIGNS, L2).tolist()
    by_vote: dict[tuple[object, ...], list[int]] = {}
    for index, sample in enumerate(samples):
        by_vote.setdefault(sample.vote, []).append(index)
    for indices in by_vote.values():
        limited = limit_sum([probabilities[index] for index in indices])
        for index, probability in zip(indices, limited, strict=True):
            probabilities[index] = probability
    first = [index for index, sample in enumerate(samples) if sample.rank == 1]
    return CrossValidation(
        folds=NUM_FOLDS,
        attempts=_assess(samples, probabilities),
        first_attempts=_assess(
            [samples[index] for index in first], [probabilities[index] for index in first]
        ),
    )


def _assess(samples: Sequence[Sample], probabilities: Sequence[float]) -> Assessment:
    rights = [sample.is_right for sample in samples]
    shares = [sample.features.share for sample in samples]
    return Assessment(
        samples=len(samples),
        calibration_error=calibration_error(reliability(probabilities, rights)),
        brier=brier_score(probabilities, rights),
        votes_calibration_error=calibration_error(reliability(shares, rights)),
        votes_brier=brier_score(shares, rights),
    )
