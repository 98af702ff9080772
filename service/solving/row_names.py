"""Lists of names that may belong to a table, judged by the self-test and folder by folder."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

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


@dataclass(frozen=True, slots=True)
class ProposedNames:
    """A list of names for all rows of a table, the blank one first, and where it comes from."""

    description: str
    names: list[str]


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a self-test says about a list of names, and the puzzles of each folder that were asked.

    `folders` has, for each folder, how many puzzles have the right row, and of how many.
    """

    test: SelfTest
    folders: tuple[tuple[int, int], ...]

    @property
    def is_cleared(self) -> bool:
        """Whether the rows belong to their names."""
        passed = self.test.finding in (Finding.ALIGNED, Finding.UNDERFITTED)
        testable = [both for both in self.folders if both[1] >= MIN_PUZZLES]
        return passed and all(right >= MIN_SHARE * asked for right, asked in testable)

    @property
    def verdict(self) -> str:
        """The judgement as a sentence."""
        right, asked = (sum(counts) for counts in zip(*self.folders, strict=True))
        return f"{right} of {asked} puzzles have their rows; the self-test says {self.test.verdict}"


def judge_names(
    engine: Engine,
    proposed: ProposedNames,
    folders: Sequence[Sequence[Puzzle]],
    on_step: Callable[[], None] = lambda: None,
) -> Judgement:
    """Run the self-test with a list of names, and look at the bare rows of each folder's puzzles.

    Puzzles are taken at equal distances over the rows, the last one included: where its rows are
    follows from all draws before.

    Raises: AlignmentError when too few demonstrations fit the canvas.
    """
    canvas = engine.checkpoint.config.canvas
    fitting = [{one.name: one for one in puzzles if one.fits(canvas)} for puzzles in folders]
    puzzles = {name: one for folder in fitting for name, one in folder.items()}
    rows = {name: row for row, name in enumerate(proposed.names) if name in puzzles}
    counts = []
    for folder in fitting:
        asked = _spread([puzzles[name] for name in rows if name in folder])
        evidence = Evidence(engine, asked)
        questions = [
            Question(index, evidence.pairs_of(index)[0], rows[one.name])
            for index, one in enumerate(asked)
        ]
        gains = [gain for part in evidence.gains(questions) for gain in part]
        counts.append((sum(gain >= MIN_GAIN for gain in gains), len(gains)))
    hashes = {name: one.demonstrations_hash for name, one in puzzles.items()}
    probes = _spread([puzzles[name] for name in rows])
    named = replace(engine.checkpoint, names=tuple(proposed.names))
    row_index = RowIndex(named, PuzzleIndex(hashes, tuple(probes)))
    return Judgement(run_self_test(engine, row_index, on_step=on_step), tuple(counts))


def _spread(puzzles: Sequence[Puzzle]) -> list[Puzzle]:
    """Return up to MAX_PROBES puzzles at equal distances, the last one included."""
    num = min(MAX_PROBES, len(puzzles))
    return [puzzles[(index + 1) * len(puzzles) // num - 1] for index in range(num)]
