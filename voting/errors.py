"""The errors of the voting room.

VotingError
├── BallotError        outcomes that cannot be counted: arrays that do not belong together
└── SubmissionError    a submission that cannot be written, read or scored
"""


class VotingError(Exception):
    """Say what could not be counted, decided or scored."""


class BallotError(VotingError):
    """Report outcomes that cannot be counted."""


class SubmissionError(VotingError):
    """Report what is wrong with a submission, and where in it."""

    def __init__(self, place: str, problem: str) -> None:
        super().__init__(place, problem)
        self.place = place
        self.problem = problem

    def __str__(self) -> str:
        return f"{self.place}: {self.problem}"
