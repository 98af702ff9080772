"""Lists of names that may belong to a table, judged by the self-test."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from augment import Puzzle
from hrm_core import Engine
from service.solving.enrolment import RowIndex
from service.solving.records import MAX_PROBES, PuzzleIndex
from service.solving.self_test import SelfTest, run_self_test
from service.wire.checkpoint import Finding


@dataclass(frozen=True, slots=True)
class ProposedNames:
    """A list of names for all rows of a table, the blank one first, and where it comes from."""

    description: str
    names: list[str]


def is_cleared(test: SelfTest) -> bool:
    """Return whether a self-test shows that the rows belong to their names."""
    return test.finding in (Finding.ALIGNED, Finding.UNDERFITTED)


def judge_names(
    engine: Engine,
    proposals: Sequence[ProposedNames],
    puzzles: Sequence[Puzzle],
    on_step: Callable[[], None] = lambda: None,
) -> list[SelfTest]:
    """Run the self-test with each list of names, on puzzles whose rows differ between the lists.

    The puzzles are spread over the whole list. The last ones matter most: their rows follow from
    all draws before.

    Raises: AlignmentError when too few demonstrations fit the canvas.
    """
    canvas = engine.checkpoint.config.canvas
    fitting = {puzzle.name: puzzle for puzzle in puzzles if puzzle.fits(canvas)}
    bare_rows = [
        {name: row for row, name in enumerate(proposal.names) if name in fitting}
        for proposal in proposals
    ]
    differing = [
        name for name in fitting if len({rows.get(name) for rows in bare_rows}) == len(proposals)
    ]
    index = {puzzle.name: puzzle.demonstrations_hash for puzzle in fitting.values()}
    tests = []
    for proposal, rows in zip(proposals, bare_rows, strict=True):
        ordered = sorted(differing or fitting, key=lambda name: rows.get(name, 0))
        num = min(MAX_PROBES, len(ordered))
        probes = tuple(fitting[ordered[(k + 1) * len(ordered) // num - 1]] for k in range(num))
        named = replace(engine.checkpoint, names=tuple(proposal.names))
        row_index = RowIndex(named, PuzzleIndex(index, probes))
        tests.append(run_self_test(engine, row_index, on_step=on_step))
    return tests
