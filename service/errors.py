"""The errors of the service room.

::

    ServiceError
    ├── InputError              the person's input cannot be used as given
    │   ├── DatasetError        the puzzles make no training set
    │   ├── PuzzleIndexError    a checkpoint's puzzles.json is missing or damaged
    │   ├── AlignmentError      the alignment self-test has too little to go on
    │   └── EnrolmentError      the checkpoint cannot answer the puzzle
    │       └── UnknownPuzzle   it has no trained rows for it
    ├── HubError                a published checkpoint could not be fetched
    └── PictureError            a picture of a puzzle could not be drawn
"""


class ServiceError(Exception):
    """Say what the service could not do, in a sentence that names the mend."""


class InputError(ServiceError):
    """The person's input cannot be used as given."""


class DatasetError(InputError):
    """The puzzles make no training set."""


class PuzzleIndexError(InputError):
    """A checkpoint's puzzles.json is missing or damaged."""


class AlignmentError(InputError):
    """The alignment self-test has too little to go on."""


class EnrolmentError(InputError):
    """The checkpoint cannot answer the puzzle."""


class UnknownPuzzle(EnrolmentError):  # noqa: N818 - the wire's own word for it
    """The checkpoint has no trained rows for the puzzle."""


class HubError(ServiceError):
    """Report that a checkpoint folder could not be fetched from the Hugging Face hub."""


class PictureError(ServiceError):
    """Report that a picture of a puzzle could not be drawn or written."""
