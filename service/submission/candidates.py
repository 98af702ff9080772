"""Candidates of test inputs as JSON lines: exported by a run, and merged with those of others."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import fsum
from pathlib import Path

from pydantic import Field, ValidationError

from augment import AugmentError, Grid, write_atomically
from service.submission.challenges import NOTHING, Challenge
from service.submission.files import NUM_ATTEMPTS, SubmissionFile
from service.submission.run import Run
from service.submission.votes import InputVotes
from service.wire.document import Document
from service.wire.document import Grid as GridField
from service.wire.errors import InputError
from voting import Ranking


class ExportedCandidate(Document):
    """A grid; of another solver's, nothing but the share need be known.

    Units: `share` of the votes, or of the sum of q where the run ranks by that; 0..1.
    """

    grid: GridField
    share: float = Field(ge=0, le=1)
    count: int = Field(default=0, ge=0)
    mean_q_halt: float = Field(default=0.0, ge=0, le=1)


class CandidateLine(Document):
    """The first grids of one test input, the best first.

    `input` is the test input, which stands in a submission where there is no grid.
    """

    puzzle: str
    test: int = Field(ge=0)
    input: GridField | None = None
    votes: int = Field(default=0, ge=0)
    abstained: int = Field(default=0, ge=0)
    candidates: tuple[ExportedCandidate, ...]


@dataclass(frozen=True, slots=True)
class CandidateFile:
    """The lines of a file, by puzzle and index of the test input, and the weight of its shares."""

    path: Path
    lines: Mapping[tuple[str, int], CandidateLine]
    weight: float = 1.0


def export_candidates(run: Run, num: int) -> Iterator[CandidateLine]:
    """Return a line for each test input of a run, with its first grids."""
    for challenge in run.challenges:
        votes = run.standings[challenge.puzzle_id].votes
        for index, grid in enumerate(challenge.inputs):
            yield _line(challenge.puzzle_id, index, grid, votes[index : index + 1], run, num)


def _line(
    puzzle_id: str, index: int, grid: Grid, votes: Sequence[InputVotes], run: Run, num: int
) -> CandidateLine:
    if not votes:
        return CandidateLine(puzzle=puzzle_id, test=index, input=grid, candidates=())
    found = votes[0].candidates(run.ranking)
    shares = [one.share for one in found]
    if run.ranking is Ranking.Q_WEIGHTED:
        q_sums = [one.count * one.mean_q_halt for one in found]
        shares = [q_sum / (fsum(q_sums) or 1.0) for q_sum in q_sums]
    return CandidateLine(
        puzzle=puzzle_id,
        test=index,
        input=grid,
        votes=votes[0].num_votes,
        abstained=votes[0].tally.abstained,
        candidates=tuple(
            ExportedCandidate(
                grid=one.grid,
                share=share,
                count=one.count,
                mean_q_halt=one.mean_q_halt,
            )
            for one, share in list(zip(found, shares, strict=True))[:num]
        ),
    )


def write_candidates(path: Path, lines: Iterable[CandidateLine]) -> None:
    """Write lines to a file in one move."""
    write_atomically(path, (line.model_dump_json() + "\n" for line in lines))


def read_candidates(path: Path, weight: float = 1.0) -> CandidateFile:
    """Read a file of candidates.

    Raises: InputError for anything else, and for a test input that is there twice.
    """
    lines: dict[tuple[str, int], CandidateLine] = {}
    with path.open("rb") as file:
        for number, content in enumerate(file, start=1):
            if not content.strip():
                continue
            try:
                line = CandidateLine.model_validate_json(content)
            except ValidationError as error:
                fault = error.errors()[0]
                place = ".".join(map(str, fault["loc"]))
                raise _wrong(path, number, f"{place}: {fault['msg']}".lstrip(": ")) from None
            except AugmentError as error:
                raise _wrong(path, number, str(error)) from None
            key = (line.puzzle, line.test)
            if key in lines:
                raise _wrong(path, number, f"test input {line.test} of {line.puzzle!r} came before")
            lines[key] = line
    if not lines:
        raise InputError(
            f"{path} holds no candidates: give a file of `hrm-arc submit --candidates`"
        )
    return CandidateFile(path, lines, weight)


def _wrong(path: Path, number: int, problem: str) -> InputError:
    return InputError(
        f"{path}, line {number}: {problem}. Give a file of `hrm-arc submit --candidates`, or lines "
        "like those"
    )


def merge_candidates(files: Sequence[CandidateFile]) -> list[CandidateLine]:
    """Return the lines of all files' test inputs; grids are ranked by the sum of their shares.

    Shares weigh as much as their file. Of equal sums the grid that is listed higher comes first.

    Raises: InputError for files of different challenges.
    """
    keys = dict.fromkeys(key for one in files for key in one.lines)
    num_tests: dict[str, int] = {}
    for puzzle_id, index in keys:
        num_tests[puzzle_id] = max(num_tests.get(puzzle_id, 0), index + 1)
    for puzzle_id, num in num_tests.items():
        for index in range(num):
            if (puzzle_id, index) not in keys:
                raise InputError(f"{puzzle_id!r} has a test input {num - 1}, but no {index}")
    return [
        _merge(puzzle_id, index, [(one, one.lines.get((puzzle_id, index))) for one in files])
        for puzzle_id, num in num_tests.items()
        for index in range(num)
    ]


def _merge(
    puzzle_id: str, index: int, given: Sequence[tuple[CandidateFile, CandidateLine | None]]
) -> CandidateLine:
    lines = [(file, line) for file, line in given if line is not None]
    inputs = {line.input: file.path for file, line in lines if line.input is not None}
    if len(inputs) > 1:
        paths = " and ".join(map(str, inputs.values()))
        raise InputError(f"{paths} have different test inputs {index} of {puzzle_id!r}")
    total = fsum(file.weight for file, line in lines if line.candidates)
    found: dict[Grid, list[tuple[float, int, ExportedCandidate]]] = {}
    for file, line in lines:
        for position, one in enumerate(line.candidates):
            entry = (file.weight * one.share, position, one)
            found.setdefault(one.grid, []).append(entry)
    ranked = sorted(
        found.items(),
        key=lambda item: (
            -fsum(share for share, _, _ in item[1]),
            min(position for _, position, _ in item[1]),
            item[0].sort_key(),
        ),
    )
    return CandidateLine(
        puzzle=puzzle_id,
        test=index,
        input=next(iter(inputs), None),
        votes=sum(line.votes for _, line in lines),
        abstained=sum(line.abstained for _, line in lines),
        candidates=tuple(_sum(grid, entries, total) for grid, entries in ranked),
    )


def _sum(
    grid: Grid, entries: Sequence[tuple[float, int, ExportedCandidate]], total: float
) -> ExportedCandidate:
    count = sum(one.count for _, _, one in entries)
    q_sum = fsum(one.count * one.mean_q_halt for _, _, one in entries)
    return ExportedCandidate(
        grid=grid,
        share=min(1.0, fsum(share for share, _, _ in entries) / total),
        count=count,
        mean_q_halt=min(1.0, q_sum / count) if count else 0.0,
    )


def write_merged(path: Path, lines: Sequence[CandidateLine]) -> None:
    """Write the submission of merged lines."""
    by_puzzle: dict[str, list[CandidateLine]] = {}
    for line in lines:
        by_puzzle.setdefault(line.puzzle, []).append(line)
    submission = SubmissionFile(
        path,
        [
            Challenge(puzzle_id, None, tuple(line.input or NOTHING for line in tests))
            for puzzle_id, tests in by_puzzle.items()
        ],
    )
    for puzzle_id, tests in by_puzzle.items():
        grids = [tuple(one.grid for one in line.candidates[:NUM_ATTEMPTS]) for line in tests]
        submission.put(puzzle_id, grids)
    submission.write()
