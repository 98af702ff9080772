"""The names of rows: plain and compressed lists, and those of a table built in several passes."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from hrm_core import CheckpointError, open_checkpoint

BLANK = "<blank>"
NAMES = [BLANK, *(f"p{row}" for row in range(1, 41))]
# The second pass starts at row 25.
FIRST, SECOND = NAMES[:25], [BLANK] * 25 + NAMES[25:]


@pytest.fixture
def folder(copy_golden: Callable[[str], Path]) -> Path:
    """Return a checkpoint with 41 rows and no names."""
    return copy_golden("hrm-rope")


def write(path: Path, names: list[str]) -> None:
    content = json.dumps(names).encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def test_a_compressed_list_is_read(folder: Path) -> None:
    write(folder / "identifiers.json.gz", NAMES)
    assert open_checkpoint(folder).names == tuple(NAMES)


def test_a_plain_list_goes_before_a_compressed_one(folder: Path) -> None:
    write(folder / "identifiers.json", NAMES)
    (folder / "identifiers.json.gz").write_bytes(b"damaged")
    assert open_checkpoint(folder).names == tuple(NAMES)


@pytest.mark.parametrize("content", [b"", b"text", gzip.compress(b"[1]", mtime=0)[:-9]])
def test_a_damaged_compressed_list_is_refused(folder: Path, content: bytes) -> None:
    (folder / "identifiers.json.gz").write_bytes(content)
    with pytest.raises(CheckpointError, match="not readable as JSON"):
        open_checkpoint(folder)


def test_a_list_that_is_no_file_is_not_read(folder: Path) -> None:
    (folder / "identifiers.json").symlink_to("/dev/zero")
    with pytest.raises(CheckpointError, match="not a regular file"):
        open_checkpoint(folder)


@pytest.mark.parametrize("name", ["identifiers.json", "identifiers.json.gz"])
def test_a_list_is_read_up_to_a_limit(
    folder: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(folder / name, NAMES)
    monkeypatch.setattr("hrm_core.files.MAX_JSON_BYTES", 99)
    with pytest.raises(CheckpointError, match="larger than 99 bytes"):
        open_checkpoint(folder)


@pytest.mark.parametrize("order", [(FIRST, SECOND), (SECOND, FIRST)])
def test_lists_of_several_passes_are_one_list(folder: Path, order: tuple[list[str], ...]) -> None:
    for name, names in zip(("identifiers.json", "identifiers_2.json.gz"), order, strict=True):
        write(folder / name, names)
    assert open_checkpoint(folder).names == tuple(NAMES)


def test_a_later_pass_alone_names_its_own_rows(folder: Path) -> None:
    write(folder / "identifiers.json", SECOND)
    assert open_checkpoint(folder).names == tuple(SECOND)


def test_a_row_with_two_names_is_refused(folder: Path) -> None:
    write(folder / "identifiers.json", NAMES)
    write(folder / "identifiers_2.json", [*NAMES[:7], "other", *NAMES[8:]])
    with pytest.raises(CheckpointError, match=r"row 7 is 'other', but 'p7'") as caught:
        open_checkpoint(folder)
    assert caught.value.path == folder / "identifiers_2.json"


def test_passes_that_do_not_fill_the_table_are_refused(folder: Path) -> None:
    write(folder / "identifiers.json", FIRST)
    write(folder / "identifiers_2.json", SECOND[:30])
    with pytest.raises(CheckpointError, match="30 names, but the table has 41 rows") as caught:
        open_checkpoint(folder)
    assert "identifiers.json, identifiers_2.json" in caught.value.hint


def test_a_list_kept_under_another_name_is_left_alone(folder: Path) -> None:
    write(folder / "identifiers.json", NAMES)
    write(folder / "identifiers_old.json", NAMES[::-1])
    assert open_checkpoint(folder).names == tuple(NAMES)
