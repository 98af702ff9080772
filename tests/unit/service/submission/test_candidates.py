"""Candidates: exported from votes, read again, merged by their shares, and what is refused."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from augment import Grid
from service.submission.candidates import (
    export_candidates,
    merge_candidates,
    read_candidates,
    write_candidates,
    write_merged,
)
from service.submission.challenges import Challenge, check_challenges
from service.submission.files import Journal, SubmissionFile
from service.submission.run import Clock, Run
from service.submission.votes import InputVotes, RoundVotes
from service.wire.errors import InputError
from voting import Q_ONE, GridVotes, Ranking, Tally, read_submission

PAIR = {"input": [[1]], "output": [[2]]}
DOCUMENT = {
    "two": {"train": [PAIR], "test": [{"input": [[3]]}, {"input": [[4]]}]},
    "none": {"train": [PAIR], "test": [{"input": [[5, 5]]}]},
    "broken": {"train": [], "test": [{"input": [[6]]}]},
}

Counts = dict[int, tuple[int, float]]


def grid(colour: int) -> Grid:
    return Grid.from_rows([[colour]])


def run_in(
    folder: Path, tests: Sequence[Counts], ranking: Ranking = Ranking.COUNT, document: object = None
) -> Run:
    """Return a run with votes on the first puzzle: of each colour the count, and the mean q."""
    folder.mkdir(exist_ok=True)
    challenges: tuple[Challenge, ...] = check_challenges(document or DOCUMENT)
    with Journal(folder / "journal.jsonl", {}) as journal:
        output = SubmissionFile(folder / "submission.json", challenges)
        run = Run(challenges, journal, output, Clock(None), ranking)
        votes = tuple(
            InputVotes(
                Tally.of(
                    (GridVotes(grid(c), n, round(n * q * Q_ONE)) for c, (n, q) in one.items()), 1
                )
            )
            for one in tests
        )
        name = challenges[0].puzzle_id
        run.record(RoundVotes(name, 0, 9, votes, True, ("a",), 1.0))
    return run


FIRST: list[Counts] = [{1: (6, 0.5), 2: (3, 0.75), 3: (3, 0.5), 4: (1, 0.9)}, {7: (2, 0.5)}]


def exported(run: Run, path: Path, num: int = 10) -> Path:
    write_candidates(path, export_candidates(run, num))
    return path


def test_each_test_input_has_a_line_with_its_first_grids(tmp_path: Path) -> None:
    path = exported(run_in(tmp_path / "run", FIRST), tmp_path / "c.jsonl", num=3)

    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert [(line["puzzle"], line["test"]) for line in lines] == [
        *(("two", 0), ("two", 1), ("none", 0), ("broken", 0)),
    ]
    first = lines[0]
    assert (first["input"], first["votes"], first["abstained"]) == ([[3]], 13, 1)
    assert [one["grid"] for one in first["candidates"]] == [[[1]], [[2]], [[3]]]
    assert first["candidates"][1] == {
        "grid": [[2]],
        "share": 3 / 13,
        "count": 3,
        "mean_q_halt": 0.75,
    }
    assert [line["candidates"] for line in lines[2:]] == [[], []]


@pytest.mark.parametrize("ranking", Ranking)
@pytest.mark.parametrize("num", [2, 10])
def test_a_merge_of_one_file_is_the_submission_it_came_from(
    tmp_path: Path, ranking: Ranking, num: int
) -> None:
    # By the sum of q, grids come in another order than by their votes.
    tests: list[Counts] = [{1: (6, 0.1), 2: (3, 0.9), 3: (5, 0.5), 4: (5, 0.5)}, {7: (2, 0.0)}]
    path = exported(run_in(tmp_path / "run", tests, ranking), tmp_path / "c.jsonl", num)

    lines = merge_candidates([read_candidates(path, 2.5)])
    write_merged(tmp_path / "merged.json", lines)

    before = (tmp_path / "run" / "submission.json").read_bytes()
    assert (tmp_path / "merged.json").read_bytes() == before
    write_candidates(tmp_path / "again.jsonl", lines)
    again = merge_candidates([read_candidates(tmp_path / "again.jsonl")])
    write_merged(tmp_path / "merged.json", again)
    assert (tmp_path / "merged.json").read_bytes() == before


def test_shares_add_up_over_files(tmp_path: Path) -> None:
    others: list[Counts] = [{2: (60, 0.25), 4: (40, 0.5)}, {8: (1, 0.5)}]
    paths = [
        exported(run_in(tmp_path / name, tests), tmp_path / f"{name}.jsonl")
        for name, tests in (("first", FIRST), ("other", others))
    ]
    files = [read_candidates(path) for path in paths]
    merged = merge_candidates(files)

    assert merged == merge_candidates([*reversed(files)])
    first = merged[0]
    assert [one.grid for one in first.candidates] == list(map(grid, (2, 4, 1, 3)))
    best = first.candidates[0]
    assert best.share == pytest.approx((3 / 13 + 0.6) / 2)
    assert (best.count, best.mean_q_halt) == (63, pytest.approx((2.25 + 15) / 63))
    assert (first.votes, first.abstained) == (113, 2)
    assert sum(one.share for one in first.candidates) == pytest.approx(1.0)
    # Both are listed first, so the smaller grid comes first.
    assert [one.grid for one in merged[1].candidates] == [grid(7), grid(8)]


def test_weights_decide_between_files(tmp_path: Path) -> None:
    paths = [
        exported(run_in(tmp_path / str(colour), [{colour: (1, 0.5)}] * 2), tmp_path / f"{colour}.j")
        for colour in (1, 2)
    ]
    light, heavy = read_candidates(paths[0], 1.0), read_candidates(paths[1], 3.0)

    first = merge_candidates([light, heavy])[0]

    assert [(one.grid, one.share) for one in first.candidates] == [(grid(2), 0.75), (grid(1), 0.25)]


def test_a_file_without_a_grid_for_a_test_input_does_not_count_there(tmp_path: Path) -> None:
    ours = exported(run_in(tmp_path / "run", FIRST), tmp_path / "ours.jsonl")
    theirs = tmp_path / "theirs.jsonl"
    line = {"puzzle": "none", "test": 0, "candidates": [{"grid": [[9]], "share": 0.4}]}
    new = {"puzzle": "new", "test": 0, "candidates": []}
    theirs.write_text(f"{json.dumps(line)}\n\n{json.dumps(new)}\n", encoding="utf-8")

    merged = merge_candidates([read_candidates(ours), read_candidates(theirs)])
    write_merged(tmp_path / "merged.json", merged)

    by_key = {(line.puzzle, line.test): line for line in merged}
    assert by_key["none", 0].candidates[0].share == 0.4
    assert by_key["two", 0] == merge_candidates([read_candidates(ours)])[0]
    found = read_submission(tmp_path / "merged.json")
    assert found["none"] == ((grid(9),) * 2,)
    assert found["broken"] == ((grid(6),) * 2,)
    assert found["new"] == ((grid(0),) * 2,)


GOOD = '{"puzzle": "a", "test": 0, "candidates": []}'


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "holds no candidates"),
        ("nonsense", "line 1: Invalid JSON"),
        (GOOD + "\n" + GOOD, "line 2: test input 0 of 'a' came before"),
        ('{"puzzle": "a", "test": -1, "candidates": []}', "line 1: test: "),
        ('{"puzzle": "a", "candidates": []}', "line 1: test: Field required"),
        (GOOD.replace("[]", '[{"grid": [[1], [1, 2]], "share": 1}]'), "line 1: "),
        (GOOD.replace("[]", '[{"grid": [[1]], "share": 1.5}]'), "candidates.0.share: "),
        (GOOD.replace("[]", '[{"grid": [[1]], "share": NaN}]'), "line 1: "),
        (GOOD.replace("0,", "1,"), "'a' has a test input 1, but no 0"),
    ],
)
def test_another_file_is_refused_where_it_goes_wrong(
    tmp_path: Path, content: str, said: str
) -> None:
    path = tmp_path / "c.jsonl"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(InputError) as raised:
        merge_candidates([read_candidates(path)])
    assert said in str(raised.value)


def test_files_of_different_challenges_are_refused(tmp_path: Path) -> None:
    other = {"two": {"train": [PAIR], "test": [{"input": [[9]]}, {"input": [[4]]}]}}
    paths = [
        exported(run_in(tmp_path / name, FIRST, document=document), tmp_path / f"{name}.jsonl")
        for name, document in (("one", DOCUMENT), ("other", other))
    ]
    with pytest.raises(InputError, match="have different test inputs 0 of 'two'"):
        merge_candidates([read_candidates(path) for path in paths])


def test_an_exported_line_is_read_as_it_was_written(tmp_path: Path) -> None:
    lines = list(export_candidates(run_in(tmp_path / "run", FIRST), 4))
    write_candidates(tmp_path / "c.jsonl", lines)
    found = read_candidates(tmp_path / "c.jsonl")
    assert list(found.lines.values()) == lines
