"""Recovery of names row by row, on a tiny checkpoint whose order of files nobody would guess."""

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hidden_orders import NUM_VARIANTS, HiddenOrder, constant_task, folder_of

from augment import BuilderReplay, Dialect, plausible_arrangements, read_task_folders
from hrm_core import Engine, open_checkpoint
from service.runtime.devices import EngineOptions
from service.solving.branches import Branch, RecoveryState, read_state, write_state
from service.solving.engines import make_engine
from service.solving.evidence import Evidence, Question
from service.solving.recovery import Recovery
from service.solving.row_names import Judgement, NameJudge
from service.wire.errors import AlignmentError

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def engine(hidden_order: HiddenOrder) -> Engine:
    options = EngineOptions("cpu", num_threads=1)
    return make_engine(open_checkpoint(hidden_order.checkpoint), options, say=print, max_slots=32)


def recovery_of(
    hidden_order: HiddenOrder, engine: Engine, state: RecoveryState | None = None
) -> Recovery:
    sources = [read_task_folders(hidden_order.data)]
    return Recovery(engine, sources, BuilderReplay(NUM_VARIANTS), state)


def test_all_names_are_found(hidden_order: HiddenOrder, engine: Engine) -> None:
    recovery = recovery_of(hidden_order, engine)
    progress = list(recovery.run())

    assert recovery.names() == hidden_order.names
    assert [one.num_named for one in progress] == sorted(one.num_named for one in progress)
    assert progress[-1].num_named == recovery.num_tasks == 6
    assert all(one.num_asked < one.num_expected for one in progress)


def test_an_interrupted_recovery_continues(
    hidden_order: HiddenOrder, engine: Engine, tmp_path: Path
) -> None:
    whole = recovery_of(hidden_order, engine)
    num_asked = [one.num_asked for one in whole.run()][-1]
    interrupted = recovery_of(hidden_order, engine)
    for progress in interrupted.run():
        if progress.num_named == 4:
            break
    path = tmp_path / "recovery.json"
    write_state(path, "this one", interrupted.state)

    continued = recovery_of(hidden_order, engine, read_state(path, "this one"))
    asked_after = [one.num_asked for one in continued.run()][-1]

    assert read_state(path, "another one") is None
    assert continued.names() == hidden_order.names
    assert asked_after < 0.75 * num_asked  # the exchanges at the end are tried again


def test_what_was_tried_in_an_unfinished_step_is_kept(
    hidden_order: HiddenOrder, engine: Engine
) -> None:
    interrupted = recovery_of(hidden_order, engine)
    for _ in interrupted.run():
        if interrupted.state.tried.get(1):
            break
    continued = recovery_of(hidden_order, engine, interrupted.state)
    assert continued.state.tried[1] == interrupted.state.tried[1]
    list(continued.run())
    assert continued.names() == hidden_order.names


def test_tasks_that_took_the_rows_of_each_other_are_exchanged(
    hidden_order: HiddenOrder, engine: Engine
) -> None:
    whole = recovery_of(hidden_order, engine)
    list(whole.run())
    best, num_exchanged = whole.best, 0
    for first, second in combinations(range(whole.num_tasks), 2):
        if not whole.are_exchangeable(first, second):
            continue
        nothing = (0.0, 0.0)  # what tasks gain at each other's places
        wrong = best.replaced(first, best.tasks[second], nothing)
        wrong = wrong.replaced(second, best.tasks[first], nothing)
        recovery = recovery_of(hidden_order, engine, RecoveryState(branches=(wrong,)))
        assert recovery.names() != hidden_order.names
        list(recovery.run())
        assert recovery.names() == hidden_order.names
        num_exchanged += 1
    assert num_exchanged > 0


def test_own_rows_gain_and_other_rows_do_not(hidden_order: HiddenOrder, engine: Engine) -> None:
    evidence = Evidence(engine, [constant_task("c").puzzle])
    rows = [hidden_order.names.index("c"), hidden_order.names.index("e"), 0]
    gains = [
        gain for part in evidence.gains([Question(0, 0, row) for row in rows]) for gain in part
    ]
    assert gains[0] > 0.6
    assert max(gains[1:]) < 0.3


def test_tasks_that_do_not_explain_the_table_are_refused(
    hidden_order: HiddenOrder, engine: Engine
) -> None:
    source = [folder_of("training", [constant_task(name) for name in "abc"])]
    recovery = Recovery(engine, [source], BuilderReplay(NUM_VARIANTS))
    with pytest.raises(AlignmentError, match="the best order has 19 names, but the table 37 rows"):
        list(recovery.run())
    larger = Recovery(engine, [source], BuilderReplay(40))
    with pytest.raises(AlignmentError, match="none fits the 37 rows"):
        list(larger.run())


def test_two_tasks_of_one_name_are_refused(hidden_order: HiddenOrder, engine: Engine) -> None:
    source = [folder_of("training", [constant_task("a")] * 2)]
    with pytest.raises(AlignmentError, match="two tasks have one name"):
        Recovery(engine, [source], BuilderReplay(NUM_VARIANTS))


def test_a_branch_is_lost_once_its_variants_gain_nothing() -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 16).tolist()
    right = [0.5 + gain for gain in noise]
    assert not Branch(gains=tuple((0.9, gain) for gain in right)).is_lost
    assert not Branch(gains=tuple((0.9, gain) for gain in noise[:15])).is_lost
    assert Branch(gains=tuple((0.9, gain) for gain in right + noise)).is_lost


def test_the_self_test_clears_only_the_right_names(
    hidden_order: HiddenOrder, engine: Engine
) -> None:
    builder = BuilderReplay(NUM_VARIANTS)
    folders = read_task_folders(hidden_order.data)
    judge = NameJudge(engine, [[task.task.puzzle for task in one.tasks] for one in folders])

    for one in plausible_arrangements([folders]):
        wrong = judge.judge(builder.names(one.tasks, Dialect.HRM))
        assert not wrong.is_cleared
        assert wrong.test is None
        assert wrong.verdict.endswith("of 6 puzzles have their rows; too few of some folder")
    right = judge.judge(hidden_order.names)

    assert right.is_cleared
    assert right.verdict.startswith("6 of 6 puzzles have their rows; aligned: ")
    assert Judgement(((30, 32), (3, 4), (0, 3)), right.test).is_cleared
    assert not Judgement(((30, 32), (2, 4)), right.test).is_cleared
