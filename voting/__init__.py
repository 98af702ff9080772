"""Votes: outcomes to ballots, tallies, rankings, submissions and scores."""

from voting.ballot import count_ballots
from voting.decision import decided
from voting.errors import BallotError, SubmissionError, VotingError
from voting.ranking import Candidate, Ranking, rank
from voting.scoring import Scores, score
from voting.submission import (
    Submission,
    parse_submission,
    read_submission,
    submission_document,
    write_submission,
)
from voting.tally import Q_ONE, GridVotes, Tally

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
    "write_submission",
]
