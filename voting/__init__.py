"""Ballots, tallies, rankings, submissions and scores."""

from voting.ballot import BallotError, count_ballots
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
    "Candidate",
    "GridVotes",
    "Ranking",
    "Scores",
    "Submission",
    "SubmissionError",
    "Tally",
    "VotingError",
    "count_ballots",
    "decided",
    "parse_submission",
    "rank",
    "read_submission",
    "score",
    "submission_document",
]
