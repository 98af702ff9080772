"""The result of a self-test: whether rows fit their names, and how well the checkpoint is trained.

Rows that belong to their names answer known demonstrations better than rows of other puzzles and
better than rows of other variants of the same puzzle. The number of right demonstrations is a
separate finding: a briefly trained checkpoint is aligned nonetheless.
"""

from dataclasses import dataclass

from service.wire.checkpoint import Finding

# A difference counts when it is three standard errors and ten cells in a hundred.
MIN_GAIN, MIN_STANDARD_ERRORS = 0.1, 3.0
# Rows in another order reach a quarter to a third of the cells, a briefly trained checkpoint nine
# tenths. Standard errors do not suffice where the demonstrations are of few puzzles.
MIN_CELL_SHARE = 0.5
MIN_EXACT_SHARE = 0.5
# Settings that spoil the answers of a good checkpoint although its weights load.
_SETTINGS = "num_heads, H_cycles, L_cycles or puzzle_emb_len in all_config.yaml"
_NAMES = "identifiers.json is not in the order of this table"


@dataclass(frozen=True, slots=True)
class Rival:
    """The demonstrations, answered through rows of other names.

    Units: shares as in SelfTest; `gain` is the mean improvement by the demonstrations' own rows, in
    shares of a demonstration's cells, `gain_error` its standard error.
    """

    exact_share: float
    cell_share: float
    gain: float
    gain_error: float

    @property
    def is_beaten(self) -> bool:
        """Whether the own rows are clearly better."""
        return self.gain >= max(MIN_GAIN, MIN_STANDARD_ERRORS * self.gain_error)


@dataclass(frozen=True, slots=True)
class SelfTest:
    """The result of a self-test; a rival is None where there are no rows of its kind.

    `names_known`: this program wrote rows and names together, so only the training is in question.

    Units: `exact_share` is the share of demonstrations that come out right, `cell_share`
    the share of the outputs' cells.
    """

    num_demonstrations: int
    num_puzzles: int
    exact_share: float
    cell_share: float
    other_puzzles: Rival | None
    other_variants: Rival | None
    names_known: bool = False

    @property
    def finding(self) -> Finding:
        """The finding that follows from the numbers."""
        is_fitted = self.exact_share >= MIN_EXACT_SHARE
        rivals = [rival for rival in (self.other_puzzles, self.other_variants) if rival is not None]
        is_better = bool(rivals) and all(rival.is_beaten for rival in rivals)
        if self.names_known or (is_better and self.cell_share >= MIN_CELL_SHARE):
            return Finding.ALIGNED if is_fitted else Finding.UNDERFITTED
        return Finding.UNCLEAR if is_fitted else Finding.MISALIGNED

    @property
    def verdict(self) -> str:
        """The finding as a sentence, with likely causes where it is not good."""
        num_exact = round(self.exact_share * self.num_demonstrations)
        right = f"{num_exact} of {self.num_demonstrations} known demonstrations come out right"
        match self.finding:
            case Finding.ALIGNED:
                return f"aligned: the rows belong to their names; {right}"
            case Finding.UNDERFITTED:
                return (
                    f"underfitted: the rows belong to their names, but only {right}. It was "
                    f"trained briefly, or {_SETTINGS} differs from its training"
                )
            case Finding.UNCLEAR:
                return (
                    f"unclear: {right}, but other rows answer nearly as well, so it "
                    "remains open whether identifiers.json is in the order of this table"
                )
            case Finding.MISALIGNED if self.other_puzzles and self.other_puzzles.is_beaten:
                # Puzzles are distinguished but variants are not: the network computes wrongly.
                return (
                    f"misaligned: {right}, and rows of other variants answer as well. Most likely "
                    f"{_SETTINGS} differs from its training; otherwise {_NAMES}, or it is hardly "
                    "trained"
                )
            case _:
                return (
                    f"misaligned: {right}, and rows of other names answer as well. Most likely "
                    f"{_NAMES}; otherwise {_SETTINGS} differs from its training, or it is hardly "
                    "trained"
                )
