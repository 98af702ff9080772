"""The cache of adapted checkpoints: found by content, evicted by use, locked over processes."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from service.adaptation.cache import AdaptationKey, AdaptedCache, Entry
from service.cli.adapted import list_command, remove_command
from service.solving.records import ADAPTATION_NAME, write_adaptation

BASE, PUZZLE = "b" * 64, "d" * 64
START_LIMIT_S = 300  # a busy machine takes its time

MakeEntry = Callable[..., str]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "adapted"


@pytest.fixture
def cache(folder: Path) -> AdaptedCache:
    return AdaptedCache(folder, max_bytes=10_000)


@pytest.fixture
def make_entry(folder: Path) -> MakeEntry:
    """Return what lays an adapted checkpoint into the cache's folder."""

    def make(entry_id: str, *, num_bytes: int = 100, used_at: float = 1000.0, **of: Any) -> str:
        document = {
            "owner": "anna",
            "base": "arc1",
            "base_sha256": BASE,
            "puzzles": {"puzzle": PUZZLE},
            "variants": 64,
            "budget": {"seconds": 60.0, "steps": None},
            "steps": 12,
            "seconds": 60.5,
            "held_out_share": 0.25,
            "held_out_note": "one",
            "stopped_early": False,
            "complete": True,
            **of,
        }
        entry = folder / entry_id
        write_adaptation(entry, document)
        (entry / ".used").touch()
        (entry / "step_12").touch()
        missing = num_bytes - sum(path.stat().st_size for path in entry.iterdir())
        if missing > 0:
            (entry / "step_12").write_bytes(b"w" * missing)
        os.utime(entry / ".used", (used_at, used_at))
        return entry_id

    return make


def ids(entries: tuple[Entry, ...]) -> list[str]:
    return [entry.id for entry in entries]


def find(cache: AdaptedCache, **of: Any) -> str | None:
    wanted = {
        "owner": "anna",
        "base_sha256": BASE,
        "demonstrations_hash": PUZZLE,
        "num_variants": 64,
        "seconds": 60.0,
        "steps": None,
        **of,
    }
    entry = cache.find(AdaptationKey(**wanted))
    return None if entry is None else entry.id


# Finding.


def test_nothing_is_found_where_there_is_no_folder_yet(cache: AdaptedCache) -> None:
    assert cache.entries() == ()
    assert cache.entry("none") is None
    assert find(cache) is None
    assert cache.evict() == ()


def test_an_adaptation_is_found_by_what_it_was_made_from_and_not_by_a_name(
    cache: AdaptedCache, make_entry: MakeEntry
) -> None:
    make_entry("same-name", puzzles={"puzzle": "e" * 64})
    make_entry("two", puzzles={"puzzle": PUZZLE, "other": "e" * 64})
    make_entry("other-base", base_sha256="c" * 64)
    make_entry("fewer-variants", variants=63)
    assert find(cache) is None
    make_entry("other-name", puzzles={"an upload": PUZZLE}, base="renamed")
    assert find(cache) == "other-name"
    assert find(cache, demonstrations_hash="e" * 64) == "same-name"
    assert find(cache, base_sha256="c" * 64) == "other-base"
    assert find(cache, num_variants=63) == "fewer-variants"


def test_an_adaptation_is_found_for_its_owner_only(
    cache: AdaptedCache, make_entry: MakeEntry
) -> None:
    make_entry("annas")
    assert find(cache, owner="anna") == "annas"
    assert find(cache, owner="ben") is None


def test_an_adaptation_without_an_owner_is_a_local_one(
    cache: AdaptedCache, make_entry: MakeEntry, folder: Path
) -> None:
    make_entry("entry")
    path = folder / "entry" / ADAPTATION_NAME
    document = json.loads(path.read_text(encoding="utf-8"))
    del document["owner"]
    write_adaptation(path.parent, document)
    entry = cache.entry("entry")
    assert entry is not None
    assert (entry.record.owner, entry.described().owner) == ("local", "local")
    assert find(cache, owner="anna") is None


def test_the_command_line_lists_and_removes_those_of_every_owner(
    make_entry: MakeEntry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_entry("annas", owner="anna", used_at=2000.0)
    make_entry("bens", owner="ben")
    list_command(state_folder=tmp_path, as_json=True)
    listed = json.loads(capsys.readouterr().out)
    assert [(one["id"], one["owner"]) for one in listed] == [("annas", "anna"), ("bens", "ben")]
    remove_command(ids=None, everything=True, state_folder=tmp_path)
    list_command(state_folder=tmp_path, as_json=True)
    assert capsys.readouterr().out.endswith("[]\n")


@pytest.mark.parametrize(
    ("seconds", "steps", "is_found"),
    [
        (60.0, None, True),
        (30.0, None, True),
        (60.0, 5, True),
        (61.0, None, False),
        (None, 5, False),
    ],
)
def test_an_adaptation_of_a_smaller_budget_is_not_found(
    cache: AdaptedCache,
    make_entry: MakeEntry,
    seconds: float | None,
    steps: int | None,
    is_found: bool,
) -> None:
    make_entry("entry")
    assert (find(cache, seconds=seconds, steps=steps) == "entry") == is_found


def test_an_adaptation_that_is_not_complete_is_listed_but_not_found(
    cache: AdaptedCache, make_entry: MakeEntry
) -> None:
    make_entry("begun", complete=False)
    assert find(cache) is None
    (entry,) = cache.entries()
    assert (entry.id, entry.record.complete) == ("begun", False)


def test_of_several_the_one_used_last_is_found(cache: AdaptedCache, make_entry: MakeEntry) -> None:
    make_entry("old", used_at=1000.0)
    make_entry("new", used_at=3000.0)
    make_entry("middle", used_at=2000.0)
    assert ids(cache.entries()) == ["new", "middle", "old"]
    assert find(cache) == "new"


def test_damaged_entries_are_passed_over(
    cache: AdaptedCache, make_entry: MakeEntry, folder: Path
) -> None:
    make_entry("good")
    make_entry("damaged")
    (folder / "damaged" / ADAPTATION_NAME).write_text("{", encoding="utf-8")
    (folder / "empty").mkdir()
    (folder / "file").write_text("mine", encoding="utf-8")
    assert ids(cache.entries()) == ["good"]
    assert cache.entry("damaged") is None
    assert cache.entry("empty") is None
    assert cache.entry("file") is None


def test_a_path_is_no_id(
    cache: AdaptedCache, make_entry: MakeEntry, folder: Path, tmp_path: Path
) -> None:
    make_entry("../outside")
    make_entry("entry")
    for entry_id in ("../outside", str(tmp_path / "outside"), "../adapted/entry", ".", "..", ""):
        assert cache.entry(entry_id) is None, entry_id
    assert ids(cache.entries()) == ["entry"]


def test_an_id_is_the_same_for_the_same_key_only() -> None:
    key = AdaptationKey("anna", BASE, PUZZLE, 64, 60.0, None)
    changes: list[dict[str, Any]] = [
        {"owner": "ben"},
        {"base_sha256": "c" * 64},
        {"demonstrations_hash": "e" * 64},
        {"num_variants": 65},
        {"seconds": 61.0},
        {"steps": 100},
        {"seconds": None, "steps": 60},
    ]
    keys = [key, *(replace(key, **change) for change in changes)]
    ids = {one.entry_id("arc1") for one in keys}
    assert len(ids) == 8
    assert all(entry_id.startswith("arc1-") for entry_id in ids)
    # Of a cache on disk, whatever the version: a change would orphan its entries.
    assert key.entry_id("arc1") == "arc1-f6a3415a0f338575"


def test_bytes_are_counted_and_times_reported(
    cache: AdaptedCache, make_entry: MakeEntry, folder: Path
) -> None:
    make_entry("entry", num_bytes=4321)
    entry = cache.entry("entry")
    assert entry is not None
    assert entry.num_bytes == 4321
    assert entry.used_at == 1000.0
    assert entry.folder == folder / "entry"


def test_a_use_is_remembered_and_the_making_stays(
    cache: AdaptedCache, make_entry: MakeEntry, folder: Path
) -> None:
    make_entry("entry")
    cache.touch("entry")
    first = cache.entry("entry")
    assert first is not None
    assert first.made_at > 1000.0
    os.utime(folder / "entry" / ".made", (2000.0, 2000.0))
    os.utime(folder / "entry" / ".used", (2000.0, 2000.0))
    cache.touch("entry")
    again = cache.entry("entry")
    assert again is not None
    assert again.made_at == 2000.0
    assert again.used_at > 2000.0


def test_a_touch_makes_room_for_what_is_to_be_adapted(cache: AdaptedCache, folder: Path) -> None:
    cache.touch("wanted")
    assert (folder / "wanted").is_dir()
    assert cache.entry("wanted") is None


# Removing and evicting.


def test_a_removed_entry_is_gone(cache: AdaptedCache, make_entry: MakeEntry, folder: Path) -> None:
    make_entry("entry")
    make_entry("other")
    assert cache.remove("entry")
    assert ids(cache.entries()) == ["other"]
    assert not list(folder.glob("*entry*"))
    assert cache.remove("entry")  # as asked, it is not there
    assert cache.remove("never-was")


def test_the_least_recently_used_make_room(cache: AdaptedCache, make_entry: MakeEntry) -> None:
    for number in (3, 1, 4, 2, 5):
        make_entry(f"entry-{number}", num_bytes=3000, used_at=1000.0 * number)
    assert cache.evict() == ("entry-1", "entry-2")
    assert ids(cache.entries()) == ["entry-5", "entry-4", "entry-3"]
    assert cache.evict() == ()


def test_what_just_fits_stays(cache: AdaptedCache, make_entry: MakeEntry) -> None:
    make_entry("one", num_bytes=5000)
    make_entry("two", num_bytes=5000)
    assert cache.evict() == ()
    make_entry("three", num_bytes=600, used_at=2000.0)
    assert len(cache.evict()) == 1


def test_a_use_saves_an_entry_from_eviction(cache: AdaptedCache, make_entry: MakeEntry) -> None:
    make_entry("old", num_bytes=6000, used_at=1000.0)
    make_entry("new", num_bytes=6000, used_at=2000.0)
    cache.touch("old")
    assert cache.evict() == ("new",)


def test_kept_and_locked_entries_are_not_evicted(
    cache: AdaptedCache, make_entry: MakeEntry
) -> None:
    for number, entry_id in enumerate(("kept", "locked", "free", "last")):
        make_entry(entry_id, num_bytes=8000, used_at=1000.0 + number)
    with cache.locked("locked") as is_held:
        assert is_held
        assert cache.evict({"kept"}) == ("free", "last")
        assert not cache.remove("locked")
    assert ids(cache.entries()) == ["locked", "kept"]
    assert cache.evict({"kept"}) == ("locked",)


def test_an_incomplete_entry_is_evicted_as_any_other(
    cache: AdaptedCache, make_entry: MakeEntry
) -> None:
    make_entry("begun", num_bytes=9000, complete=False, used_at=1000.0)
    make_entry("done", num_bytes=9000, used_at=2000.0)
    assert cache.evict() == ("begun",)


def test_what_a_removal_that_was_cut_short_left_is_neither_found_nor_kept(
    cache: AdaptedCache, make_entry: MakeEntry, folder: Path
) -> None:
    make_entry(".entry.1700000000000000000")  # renamed, and then the process was killed
    make_entry("entry")
    assert ids(cache.entries()) == ["entry"]
    with cache.locked("other"):
        assert cache.evict() == ()
    assert sorted(path.name for path in folder.iterdir()) == [".locks", "entry"]


# Locks.


def test_a_lock_is_held_by_one_at_a_time(cache: AdaptedCache, folder: Path) -> None:
    other = AdaptedCache(folder, 1)
    with cache.locked("entry") as first:
        with other.locked("entry") as second, other.locked("another") as third:
            assert (first, second, third) == (True, False, True)
        with other.locked("entry") as still:
            assert not still
    with other.locked("entry") as free:
        assert free


def test_a_lock_ends_with_what_failed_under_it(cache: AdaptedCache) -> None:
    def fail() -> None:
        with cache.locked("entry"):
            raise RuntimeError("the disk is full")

    with pytest.raises(RuntimeError, match="the disk is full"):
        fail()
    with cache.locked("entry") as is_held:
        assert is_held


HOLD = """
import sys, time
from pathlib import Path
from service.adaptation.cache import AdaptedCache
with AdaptedCache(Path(sys.argv[1]), 1).locked("entry") as is_held:
    print(is_held, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def holder(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Return another process, which holds the lock of "entry"."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "True\n"
    yield process
    process.kill()
    process.wait(START_LIMIT_S)
    process.stdout.close()


def test_a_lock_of_another_process_holds_until_it_is_killed(
    cache: AdaptedCache, make_entry: MakeEntry, holder: subprocess.Popen[str]
) -> None:
    make_entry("entry", num_bytes=20_000)
    with cache.locked("entry") as is_held:
        assert not is_held
    assert not cache.remove("entry")
    assert cache.evict() == ()
    assert find(cache) == "entry"  # its record may be read all the same

    holder.send_signal(signal.SIGKILL)
    holder.wait(START_LIMIT_S)

    with cache.locked("entry") as is_held:
        assert is_held
    assert cache.evict() == ("entry",)


# The records that a worker publishes.


def test_an_entry_is_described_by_a_record(cache: AdaptedCache, make_entry: MakeEntry) -> None:
    make_entry("entry", num_bytes=4321)
    entry = cache.entry("entry")
    assert entry is not None
    record = entry.described()
    assert (record.id, record.owner) == ("entry", "anna")
    assert (record.base, record.base_sha256) == ("arc1", BASE)
    assert (record.puzzle, record.demonstrations_sha256) == ("puzzle", PUZZLE)
    assert (record.variants, record.steps, record.seconds) == (64, 12, 60.5)
    assert (record.held_out_share, record.bytes, record.complete) == (0.25, 4321, True)
    assert record.made_at.timestamp() == record.used_at.timestamp() == 1000.0


def test_the_records_are_those_of_the_entries_used_last_and_may_be_seconds_old(
    cache: AdaptedCache, make_entry: MakeEntry
) -> None:
    make_entry("old", used_at=1000.0)
    make_entry("new", used_at=2000.0, base=None, base_sha256=None, puzzles={})
    records = cache.records()
    assert [record.id for record in records] == ["new", "old"]
    assert (records[0].base, records[0].base_sha256, records[0].puzzle) == ("", "", "")
    cache.remove("old")
    assert cache.records() == records
