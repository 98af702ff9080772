"""Ballots, tallies, rankings, calibration, submissions and scores."""

from voting.calibration import CalibrationError as CalibrationError
from voting.calibration import Logistic as Logistic
from voting.calibration import ReliabilityBin as ReliabilityBin
from voting.calibration import brier_score as brier_score
from voting.calibration import calibration_error as calibration_error
from voting.calibration import cross_validate as cross_validate
from voting.calibration import fit_logistic as fit_logistic
from voting.calibration import reliability as reliability
from voting.ranking import Candidate as Candidate
from voting.ranking import Ranking as Ranking
from voting.ranking import decided as decided
from voting.ranking import rank as rank
from voting.submission import Scores as Scores
from voting.submission import Submission as Submission
from voting.submission import SubmissionError as SubmissionError
from voting.submission import parse_submission as parse_submission
from voting.submission import read_submission as read_submission
from voting.submission import score as score
from voting.submission import submission_document as submission_document
from voting.tally import Q_ONE as Q_ONE
from voting.tally import BallotError as BallotError
from voting.tally import GridVotes as GridVotes
from voting.tally import Tally as Tally
from voting.tally import VotingError as VotingError
from voting.tally import count_ballots as count_ballots
