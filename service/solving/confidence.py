"""`confidence.json`: a checkpoint's calibration, from votes to the probability of being right.

The calibration is a logistic regression on what is known of an attempt without the truth. It is
kept in the folder of the checkpoint that it was fitted for and bound to its hash; a checkpoint that
was adapted from it uses the same one. Where there is none, or none for the road that an answer
took, no probability is given.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NamedTuple, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError, model_validator

from augment import Grid, write_atomically
from hrm_core.files import MAX_JSON_BYTES, read_bounded
from service.wire.answer import AdaptationSummary
from service.wire.document import Document
from service.wire.errors import EnrolmentError
from voting import Logistic, Ranking, Tally, rank

CONFIDENCE_NAME: Final = "confidence.json"
VERSION: Final = 1

Road = Literal["trained", "adapted"]
Share = Annotated[float, Field(ge=0.0, le=1.0)]


class Feature(NamedTuple):
    """A feature of an attempt, and the only sign that its coefficient may have (0: either)."""

    name: str
    sign: int
    meaning: str


FEATURES: Final = (
    Feature("share", 1, "the attempt's share of the votes that name a grid"),
    Feature("lead", 1, "its share less that of the next candidate, 0 where that has more"),
    Feature("is_first", 1, "1 for the first attempt, 0 for others"),
    Feature("log_votes", 0, "log of one more than the votes that name a grid"),
    Feature("abstained_share", -1, "the share of ballots that name no grid"),
    Feature("mean_q", 1, "the mean q_halt of the attempt's votes"),
    Feature("held_out_share", 1, "held-out answers right in the adaptation, 0 where unknown"),
    Feature("has_held_out", 0, "1 where that share is known of this very puzzle"),
    Feature("equals_input", -1, "1 where the attempt is its input unchanged"),
    Feature("is_trained", 0, "1 where trained rows voted, 0 where adapted ones did"),
)
SIGNS: Final = tuple(feature.sign for feature in FEATURES)


class AttemptFeatures(BaseModel):
    """The features of one attempt, by the names of FEATURES."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    share: Share
    lead: Share
    is_first: Share
    log_votes: Annotated[float, Field(ge=0.0)]
    abstained_share: Share
    mean_q: Share
    held_out_share: Share
    has_held_out: Share
    equals_input: Share
    is_trained: Share

    @property
    def values(self) -> tuple[float, ...]:
        """The values in the order of FEATURES."""
        return tuple(float(getattr(self, feature.name)) for feature in FEATURES)


@dataclass(frozen=True, slots=True)
class VoteSource:
    """Where votes came from: trained or adapted rows, and the adaptation's held-out share.

    `held_out_share` is None where it is not known: nothing was held out, or too little was checked.
    """

    road: Road
    held_out_share: float | None = None

    @classmethod
    def of(cls, road: Road, adaptation: AdaptationSummary | None) -> Self:
        """Describe the source of a checkpoint's votes."""
        return cls(road, None if adaptation is None else adaptation.held_out_share)


def attempt_features(
    tally: Tally, ranking: Ranking, test_input: Grid, num_attempts: int, source: VoteSource
) -> tuple[AttemptFeatures, ...]:
    """Return the features of each attempt at a test input, the best first."""
    candidates = rank(tally, ranking)
    shares = [*(one.share for one in candidates), 0.0]
    return tuple(
        AttemptFeatures(
            share=one.share,
            lead=max(0.0, one.share - shares[index + 1]),
            is_first=float(index == 0),
            log_votes=math.log1p(tally.num_votes),
            abstained_share=tally.abstained / tally.num_ballots,
            mean_q=min(1.0, one.mean_q_halt),
            held_out_share=source.held_out_share or 0.0,
            has_held_out=float(source.held_out_share is not None),
            equals_input=float(one.grid == test_input),
            is_trained=float(source.road == "trained"),
        )
        for index, one in enumerate(candidates[:num_attempts])
    )


def limit_sum(probabilities: Sequence[float]) -> tuple[float, ...]:
    """Limit the probability of each attempt at a test input to what those before it leave of 1.

    Attempts are different grids, so at most one is right. That of the first stays as it is: it
    would otherwise fall where both gain.
    """
    left, limited = 1.0, []
    for probability in probabilities:
        limited.append(min(probability, left))
        left -= limited[-1]
    return tuple(limited)


class FittedFeature(Document):
    """A feature's coefficient, after `mean` and `scale`, and the range that was fitted."""

    name: str
    mean: FiniteFloat
    scale: Annotated[FiniteFloat, Field(gt=0)]
    low: FiniteFloat
    high: FiniteFloat
    coefficient: FiniteFloat


class RoadSamples(Document):
    """The samples of one road: attempts and those right, and puzzles.

    `known_puzzles` of them had rows in the checkpoint, so its trunk has seen what was held out.
    """

    samples: int
    right: int
    puzzles: int
    known_puzzles: int


class Assessment(Document):
    """How well probabilities matched outcomes, and how well the share of the votes did."""

    samples: int
    calibration_error: Share
    brier: Share
    votes_calibration_error: Share
    votes_brier: Share


class CrossValidation(Document):
    """Assessments by fits on other puzzles: of all attempts, and of first attempts."""

    folds: int
    attempts: Assessment
    first_attempts: Assessment


class Calibration(Document):
    """A checkpoint's calibration, as its `confidence.json` holds it.

    `checkpoint_sha256` is the checkpoint that it was fitted for, `fitted` how.
    """

    version: Literal[1] = VERSION
    checkpoint_sha256: str
    intercept: FiniteFloat
    features: tuple[FittedFeature, ...]
    l2: FiniteFloat
    roads: Mapping[Road, RoadSamples]
    cross_validation: CrossValidation
    fitted: Mapping[str, Any]

    @model_validator(mode="after")
    def _check_features(self) -> Self:
        names = [feature.name for feature in self.features]
        if names != [feature.name for feature in FEATURES]:
            raise ValueError(f"the features {', '.join(names)} are not those of version {VERSION}")
        return self

    @cached_property
    def _model(self) -> Logistic:
        return Logistic(
            intercept=self.intercept,
            coefficients=tuple(one.coefficient for one in self.features),
            means=tuple(one.mean for one in self.features),
            scales=tuple(one.scale for one in self.features),
            lows=tuple(one.low for one in self.features),
            highs=tuple(one.high for one in self.features),
        )

    def confidence(
        self,
        tally: Tally,
        ranking: Ranking,
        test_input: Grid,
        num_attempts: int,
        source: VoteSource,
    ) -> tuple[float, ...]:
        """Return the probability of each attempt at a test input, the best first.

        Empty where no samples of the source's road were fitted.
        """
        if source.road not in self.roads:
            return ()
        features = attempt_features(tally, ranking, test_input, num_attempts, source)
        if not features:
            return ()
        probabilities = self._model.predict(np.array([one.values for one in features]))
        return tuple(round(one, 4) for one in limit_sum(probabilities.tolist()))


def read_calibration(folder: Path, checkpoint_sha256: str) -> Calibration | None:
    """Read a folder's `confidence.json`; None where there is none for a checkpoint of this hash.

    Raises: EnrolmentError when the file is damaged.
    """
    path = folder / CONFIDENCE_NAME
    try:
        calibration = Calibration.model_validate_json(read_bounded(path, MAX_JSON_BYTES))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise EnrolmentError(
            f"{path} is damaged ({_first_fault(error)}): delete it, or write it again with "
            "`hrm-arc calibrate`"
        ) from error
    return calibration if calibration.checkpoint_sha256 == checkpoint_sha256 else None


def write_calibration(folder: Path, calibration: Calibration) -> None:
    """Write a folder's `confidence.json` in one move."""
    write_atomically(folder / CONFIDENCE_NAME, [calibration.model_dump_json(indent=1), "\n"])


def _first_fault(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors()[0]
    place = ".".join(map(str, first["loc"]))
    return f"{place}: {first['msg']}" if place else str(first["msg"])
