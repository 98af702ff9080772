"""Lists of names that may belong to a table, judged by the self-test and folder by folder."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice

from augment import Puzzle
from hrm_core import Engine
from service.solving.enrolment import RowIndex
from service.solving.evidence import Evidence, Question
from service.solving.records import MAX_PROBES, PuzzleIndex
from service.solving.self_test import SelfTest, run_self_test
from service.wire.checkpoint import Finding

# A row that takes away so much of what is lost through rows at random belongs to its puzzle.
MIN_GAIN = 0.2
# So many of a folder's puzzles must have their rows. In another order, a few have them by chance.
MIN_SHARE, MIN_PUZZLES = 0.6, 4
# Puzzles of each folder.
MAX_ASKED = 16


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is known about a list of names: the puzzles of each folder, and the self-test.

    `folders` has, for each folder, how many puzzles have the right row, and of how many. `test` is
    None where too few have it, so that no self-test was run.
    """

    folders: tuple[tuple[int, int], ...]
    test: SelfTest | None = None

    @property
    def is_plausible(self) -> bool:
        """Whether enough puzzles of each folder have their rows."""
        testable = [both for both in self.folders if both[1] >= MIN_PUZZLES]
        return all(right >= MIN_SHARE * asked for right, asked in testable)

    @property
    def is_cleared(self) -> bool:
        """Whether the rows belong to their names."""
        return (
            self.is_plausible
            and self.test is not None
            and self.test.finding in (Finding.ALIGNED, Finding.UNDERFITTED)
        )

    @property
    def verdict(self) -> str:
        """The judgement as a sentence."""
        right, asked = (sum(counts) for counts in zip(*self.folders, strict=True))
        found = "too few of some folder" if self.test is None else self.test.verdict
        return f"{right} of {asked} puzzles have their rows; {found}"


class NameJudge:
    """Judges lists of names for the rows of one table, by the same puzzles of each folder."""

    def __init__(self, engine: Engine, folders: Sequence[Sequence[Puzzle]]) -> None:
        canvas = engine.checkpoint.config.canvas
        fitting = [[one for one in puzzles if one.fits(canvas)] for puzzles in folders]
        self._engine = engine
        self._asked = [_spread(puzzles, MAX_ASKED) for puzzles in fitting]
        self._evidence = Evidence(engine, [one for asked in self._asked for one in asked])
        everything = [one for puzzles in fitting for one in puzzles]
        hashes = {one.name: one.demonstrations_hash for one in everything}
        self._index = PuzzleIndex(hashes, tuple(_spread(everything, MAX_PROBES)))

    def judge(self, names: list[str]) -> Judgement:
        """Look at the bare rows of each folder, and run the self-test where they gain.

        The self-test takes many times as long.

        Raises: AlignmentError when too few demonstrations fit the canvas.
        """
        checkpoint = self._engine.checkpoint
        rows = {name: row for row, name in enumerate(names) if name in self._index.demonstrations}
        questions = [
            Question(index, self._evidence.pairs_of(index)[0], rows[one.name])
            for index, one in enumerate(self._evidence.puzzles)
        ]
        gains = (gain for part in self._evidence.gains(questions) for gain in part)
        is_right = (gain >= MIN_GAIN for gain in gains)
        counts = tuple((sum(islice(is_right, len(asked))), len(asked)) for asked in self._asked)
        judgement = Judgement(counts)
        if not judgement.is_plausible:
            return judgement
        row_index = RowIndex(replace(checkpoint, names=tuple(names)), self._index)
        return replace(judgement, test=run_self_test(self._engine, row_index))


def _spread(puzzles: Sequence[Puzzle], max_puzzles: int) -> list[Puzzle]:
    """Return up to so many puzzles at equal distances, the last one included."""
    num = min(max_puzzles, len(puzzles))
    return [puzzles[(index + 1) * len(puzzles) // num - 1] for index in range(num)]
