"""Ballots, tallies, rankings, calibration, submissions and scores."""

from voting.ballot import BallotError, count_ballots
from voting.calibration import (
    CalibrationError,
    Logistic,
    ReliabilityBin,
    brier_score,
    calibration_error,
    cross_validate,
    fit_logistic,
    reliability,
)
from voting.decision import decided
from voting.ranking import Candidate, Ranking, rank
from voting.scoring import Scores, score
from voting.submission import (
    Submission,
    SubmissionError,
    parse_submission,
    read_submission,
    submission_document,
)
from voting.tally import Q_ONE, GridVotes, Tally, VotingError

__all__ = [
    "Q_ONE",
    "BallotError",
    "CalibrationError",
    "Candidate",
    "GridVotes",
    "Logistic",
    "Ranking",
    "ReliabilityBin",
    "Scores",
    "Submission",
    "SubmissionError",
    "Tally",
    "VotingError",
    "brier_score",
    "calibration_error",
    "count_ballots",
    "cross_validate",
    "decided",
    "fit_logistic",
    "parse_submission",
    "rank",
    "read_submission",
    "reliability",
    "score",
    "submission_document",
]
