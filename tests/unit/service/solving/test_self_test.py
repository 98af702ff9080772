"""The self-test: rows that fit their names, rows that do not, and checkpoints trained briefly."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from augment import Grid, Task
from hrm_core import (
    ARC_VOCAB_SIZE,
    CLASS_PATHS,
    Engine,
    EngineConfig,
    Outcome,
    Pretraining,
    TrainSettings,
    open_checkpoint,
    parse_arch,
)
from service.adaptation.dataset import build_dataset
from service.solving.enrolment import RowIndex
from service.solving.examination import (
    SELF_TEST_NAME,
    Examination,
    examine,
    keep,
    read_examination,
)
from service.solving.records import PUZZLES_NAME, index_document
from service.solving.self_test import Rival, SelfTest, run_self_test
from service.wire.checkpoint import Finding
from service.wire.errors import AlignmentError, EnrolmentError

pytestmark = pytest.mark.usefixtures("one_thread")

BEATEN = Rival(0.0, 0.4, 0.5, 0.05)
EQUAL = Rival(0.5, 0.9, 0.01, 0.05)
NUM_VARIANTS = 6


def prepare(folder: Path) -> tuple[Engine, RowIndex]:
    checkpoint = open_checkpoint(folder)
    engine = Engine(checkpoint, EngineConfig(torch.device("cpu"), num_slots=16))
    return engine, RowIndex(checkpoint)


def check(folder: Path) -> Examination:
    return examine(*prepare(folder))


def rename(folder: Path, change: Callable[[list[str]], list[str]]) -> None:
    path = folder / "identifiers.json"
    blank, *names = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps([blank, *change(names)]), encoding="utf-8")


def configure(folder: Path, **settings: object) -> None:
    path = folder / "all_config.yaml"
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    document["arch"] |= settings
    path.write_text(yaml.safe_dump(document), encoding="utf-8")


def test_a_trained_checkpoint_is_aligned(tiny_folder: Path) -> None:
    test = check(tiny_folder).test

    # Few puzzles: their variants are tested too.
    assert (test.num_demonstrations, test.num_puzzles) == (32, 4)
    assert test.exact_share >= 0.9
    assert test.other_puzzles is not None
    assert test.other_puzzles.exact_share <= 0.2
    assert test.finding is Finding.ALIGNED
    assert test.verdict.startswith("aligned")


@pytest.mark.parametrize(
    "change",
    [
        lambda names: names[NUM_VARIANTS:] + names[:NUM_VARIANTS],
        lambda names: names[2 * NUM_VARIANTS :] + names[: 2 * NUM_VARIANTS],
        lambda names: names[1:] + names[:1],
        lambda names: names[::-1],
    ],
    ids=["by a puzzle", "by two puzzles", "by a variant", "reversed"],
)
def test_names_in_another_order_are_misaligned(
    tiny_copy: Path, change: Callable[[list[str]], list[str]]
) -> None:
    rename(tiny_copy, change)

    examination = check(tiny_copy)

    assert examination.finding is Finding.MISALIGNED
    assert examination.verdict.startswith("misaligned")
    assert "identifiers.json is not in the order of this table" in examination.verdict


def test_a_checkpoint_trained_briefly_is_underfitted_and_verified(early_folder: Path) -> None:
    test = check(early_folder).test

    assert test.finding is Finding.UNDERFITTED
    assert test.finding.is_verified
    assert "num_heads" in test.verdict
    assert "train longer" not in test.verdict.lower()


def test_a_single_puzzle_is_tested_by_its_variants(
    tiny_engine: Engine, tiny_row_index: RowIndex, constant_tasks: tuple[Task, ...]
) -> None:
    test = run_self_test(tiny_engine, tiny_row_index, [constant_tasks[0].puzzle])

    assert (test.num_demonstrations, test.num_puzzles) == (18, 1)
    assert test.other_puzzles is None
    assert test.other_variants is not None


@pytest.mark.parametrize(
    ("exact", "others", "variants", "names_known", "finding"),
    [
        (0.5, BEATEN, BEATEN, False, Finding.ALIGNED),
        (0.49, BEATEN, BEATEN, False, Finding.UNDERFITTED),
        (0.5, BEATEN, None, False, Finding.ALIGNED),
        (0.5, None, BEATEN, False, Finding.ALIGNED),
        (0.9, EQUAL, BEATEN, False, Finding.UNCLEAR),
        (0.9, BEATEN, EQUAL, False, Finding.UNCLEAR),
        (0.9, None, None, False, Finding.UNCLEAR),
        (0.1, EQUAL, EQUAL, False, Finding.MISALIGNED),
        (0.1, BEATEN, EQUAL, False, Finding.MISALIGNED),
        (0.1, EQUAL, EQUAL, True, Finding.UNDERFITTED),
        (0.9, EQUAL, EQUAL, True, Finding.ALIGNED),
    ],
)
def test_own_rows_must_beat_other_puzzles_and_other_variants(
    exact: float, others: Rival | None, variants: Rival | None, names_known: bool, finding: Finding
) -> None:
    test = SelfTest(32, 4, exact, 0.9, others, variants, names_known)

    assert test.finding is finding
    assert test.verdict.startswith(finding)


@pytest.mark.parametrize(
    ("gain", "gain_error", "is_beaten"),
    [(0.31, 0.1, True), (0.29, 0.1, False), (0.1, 0.0, True), (0.09, 0.0, False), (-1, 0, False)],
)
def test_a_rival_is_beaten_by_three_standard_errors_and_ten_cells_in_a_hundred(
    gain: float, gain_error: float, is_beaten: bool
) -> None:
    assert Rival(0.0, 0.0, gain, gain_error).is_beaten is is_beaten


def test_right_puzzles_but_mixed_variants_suspect_the_settings_first() -> None:
    verdict = SelfTest(32, 32, 0.03, 0.5, BEATEN, EQUAL).verdict

    assert verdict.index("num_heads") < verdict.index("identifiers.json")


@pytest.fixture(scope="module")
def trm_folder(constant_tasks: tuple[Task, ...], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train a tiny TRM on the four tasks, with a prefix of one position."""
    folder = tmp_path_factory.mktemp("trm")
    dataset = build_dataset([task.puzzle for task in constant_tasks], 3, 6, seed=0)
    arch = {
        "name": CLASS_PATHS["trm"],
        "hidden_size": 32,
        "num_heads": 2,
        "L_layers": 1,
        "H_cycles": 1,
        "L_cycles": 1,
        "expansion": 2,
        "halt_max_steps": 3,
        # The self-test runs all segments, so the later ones must be trained as well.
        "halt_exploration_prob": 0.5,
        "puzzle_emb_ndim": 32,
        "puzzle_emb_len": 1,
        "pos_encodings": "rope",
        "forward_dtype": "float32",
    }
    run = Pretraining(
        folder,
        parse_arch({"arch": arch}).configure(
            vocab_size=ARC_VOCAB_SIZE, seq_len=9, num_rows=len(dataset.identifiers)
        ),
        dataset.arrays,
        TrainSettings(num_steps=500, batch_size=48, lr=3e-3, warmup_steps=10),
        {
            "identifiers.json": list(dataset.identifiers),
            PUZZLES_NAME: index_document(dataset.puzzles),
        },
        device=torch.device("cpu"),
        compile_step=False,
    )
    run.train(lambda progress: None)
    return folder


@pytest.mark.parametrize(
    "changes",
    [
        {"num_heads": 1},
        {"num_heads": 4},
        {"L_cycles": 6},  # not H_cycles: a trained network's answers outlast more of them
        {"pos_encodings": "none"},
        {"puzzle_emb_len": 3},
        {"puzzle_emb_len": None},
    ],
    ids=str,
)
def test_settings_that_leave_no_trace_in_the_weights_are_found_and_named(
    trm_folder: Path, tmp_path: Path, changes: dict[str, object]
) -> None:
    folder = Path(shutil.copytree(trm_folder, tmp_path / "copy"))
    assert check(folder).finding is Finding.ALIGNED
    path = folder / "all_config.yaml"
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    document["arch"] |= changes
    document["arch"] = {key: value for key, value in document["arch"].items() if value is not None}
    path.write_text(yaml.safe_dump(document), encoding="utf-8")

    examination = check(folder)

    assert examination.finding in (Finding.MISALIGNED, Finding.UNDERFITTED)
    ((name, value),) = changes.items()
    assert f"{name} {value or 16}" in examination.verdict
    if value is None:
        assert "has no arch.puzzle_emb_len, so TRM's default of 16" in examination.verdict


@pytest.mark.parametrize(("notes", "first"), [("", "identifiers"), (" (assumed)", "num_heads")])
def test_assumed_settings_are_suspected_before_the_names(notes: str, first: str) -> None:
    verdict = SelfTest(32, 32, 0.03, 0.2, EQUAL, EQUAL, notes=notes).verdict

    assert verdict.index(first) == min(verdict.index("identifiers"), verdict.index("num_heads"))


def test_too_few_known_demonstrations_are_an_error(
    tiny_engine: Engine, tiny_row_index: RowIndex, constant_tasks: tuple[Task, ...]
) -> None:
    unknown = [replace(task.puzzle, train=task.puzzle.train[:1]) for task in constant_tasks]

    with pytest.raises(AlignmentError, match=r"untested: 0 known demonstrations.*8 are needed"):
        run_self_test(tiny_engine, tiny_row_index, unknown)


def test_with_crop_puzzles_beyond_the_canvas_are_left_out(
    tiny_copy: Path, constant_tasks: tuple[Task, ...]
) -> None:
    # A known puzzle of 4 x 4 on a canvas of 3.
    configure(tiny_copy, crop=True)
    large = Grid.from_rows([[1] * 4] * 4)
    puzzle = replace(constant_tasks[0].puzzle, test=(large,))
    engine, row_index = prepare(tiny_copy)
    assert row_index.knows(puzzle)

    with pytest.raises(AlignmentError, match="untested: 0 known demonstrations"):
        run_self_test(engine, row_index, [puzzle])


def test_a_checkpoint_without_probes_has_too_little_to_go_on(tiny_copy: Path) -> None:
    (tiny_copy / "puzzles.json").unlink()

    with pytest.raises(AlignmentError, match="--tasks`, or write probes with `hrm-arc index`"):
        check(tiny_copy)


def test_a_checkpoint_without_names_cannot_be_tested(tiny_copy: Path) -> None:
    (tiny_copy / "identifiers.json").unlink()

    with pytest.raises(EnrolmentError, match=r"identifiers\.json"):
        check(tiny_copy)


def test_a_kept_test_is_read_back_for_the_same_checkpoint_only(tiny_copy: Path) -> None:
    engine, row_index = prepare(tiny_copy)
    assert read_examination(row_index.checkpoint) is None
    test = run_self_test(engine, row_index)

    keep(row_index.checkpoint, test)

    assert read_examination(open_checkpoint(tiny_copy)) == Examination(test)
    rename(tiny_copy, lambda names: names[::-1])
    assert read_examination(open_checkpoint(tiny_copy)) is None


def test_changes_since_the_kept_test_are_named(tiny_copy: Path) -> None:
    engine, row_index = prepare(tiny_copy)
    keep(row_index.checkpoint, run_self_test(engine, row_index))
    configure(tiny_copy, H_cycles=3)

    examination = check(tiny_copy)

    assert examination.changes == ("all_config.yaml has H_cycles 3, but 1 when it was tested",)
    # The answers may be as good as before: the change is a finding all the same.
    assert examination.finding in (Finding.CHANGED, Finding.UNDERFITTED, Finding.MISALIGNED)
    assert examination.verdict.startswith("all_config.yaml has H_cycles 3")


def test_names_known_by_construction_hold_for_the_kept_checkpoint_only(
    early_folder: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(early_folder, tmp_path / "copy"))
    _, row_index = prepare(folder)
    poor = SelfTest(32, 4, 0.1, 0.5, EQUAL, EQUAL, names_known=True)
    keep(row_index.checkpoint, poor)
    assert check(folder).test.names_known

    rename(folder, lambda names: names[::-1])

    examination = check(folder)
    assert not examination.test.names_known
    assert examination.changes == ("identifiers.json is not the one that was tested",)
    assert examination.finding is Finding.MISALIGNED


def test_a_device_that_computes_something_else_is_found(tiny_copy: Path) -> None:
    engine, row_index = prepare(tiny_copy)
    keep(row_index.checkpoint, replace(run_self_test(engine, row_index), names_known=True))
    assert examine(engine, row_index).test.names_known

    class BrokenEngine(Engine):
        def step(self) -> list[Outcome]:
            return [one._replace(tokens=np.zeros_like(one.tokens)) for one in super().step()]

    broken = BrokenEngine(row_index.checkpoint, EngineConfig(torch.device("cpu"), num_slots=16))

    examination = examine(broken, row_index)

    assert examination.finding is Finding.MISALIGNED
    assert examination.verdict.startswith("this device computes different results")


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"test": 3}', '{"test": {"x": 1}}'])
def test_a_damaged_record_counts_as_none(tiny_copy: Path, content: str) -> None:
    (tiny_copy / SELF_TEST_NAME).write_text(content, encoding="utf-8")

    assert read_examination(open_checkpoint(tiny_copy)) is None
