"""`puzzles.json`: what is written is read, and nothing else is taken for it."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from augment import Grid, Pair, Puzzle, Task
from service.solving import records
from service.solving.records import PUZZLES_NAME, PuzzleIndex, index_document, read_index
from service.wire.errors import PuzzleIndexError


def written(folder: Path, document: object) -> PuzzleIndex | None:
    (folder / PUZZLES_NAME).write_text(json.dumps(document), encoding="utf-8")
    return read_index(folder)


def test_hashes_and_probes_read_back(constant_tasks: tuple[Task, ...], tmp_path: Path) -> None:
    puzzles = tuple(task.puzzle for task in constant_tasks)

    index = written(tmp_path, index_document(puzzles))

    assert index is not None
    assert index.demonstrations == {p.name: p.demonstrations_hash for p in puzzles}
    assert index.probes == puzzles


def test_probes_carry_no_test_outputs(constant_tasks: tuple[Task, ...]) -> None:
    document = json.loads(json.dumps(index_document([task.puzzle for task in constant_tasks])))

    entries = [entry for probe in document["probes"].values() for entry in probe["test"]]
    assert len(entries) == 5
    assert all(entry.keys() == {"input"} for entry in entries)


def test_probes_are_spread_over_the_puzzles(
    puzzle_of: Callable[..., Puzzle], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "MAX_PROBES", 7)
    puzzles = [puzzle_of(f"p{number}", number) for number in range(10)]

    index = written(tmp_path, index_document(puzzles))

    assert index is not None
    names = [probe.name for probe in index.probes]
    assert names == ["p0", "p1", "p2", "p4", "p5", "p7", "p8"]
    assert len(index.demonstrations) == 10


def test_a_folder_without_the_file_has_no_index(tmp_path: Path) -> None:
    assert read_index(tmp_path) is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b"{}",
        b'{"demonstrations": {}}',
        b'{"demonstrations": [], "probes": {}}',
        b'{"demonstrations": {}, "probes": {"a": {"train": []}}}',
        b"[" * 200_000,
    ],
)
def test_a_damaged_file_is_said_with_a_hint(tmp_path: Path, content: bytes) -> None:
    (tmp_path / PUZZLES_NAME).write_bytes(content)

    with pytest.raises(PuzzleIndexError, match=r"puzzles\.json is damaged .*hrm-arc index"):
        read_index(tmp_path)


def test_a_folder_in_the_files_place_is_damage(tmp_path: Path) -> None:
    (tmp_path / PUZZLES_NAME).mkdir()

    with pytest.raises(PuzzleIndexError, match="damaged"):
        read_index(tmp_path)


def test_probes_are_small_puzzles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "MAX_PROBES", 5)
    puzzles = [
        Puzzle(f"p{i}", (Pair(Grid.from_rows([[1] * (1 + i % 4)]), Grid.from_rows([[2]])),), ())
        for i in range(12)
    ]

    probes = index_document(puzzles)["probes"]

    assert isinstance(probes, dict)
    assert set(probes) <= {f"p{i}" for i in range(12) if i % 4 < 2}
