"""`hrm-arc index --replay-hrm`: the names of a published HRM checkpoint, by replay or recovery."""

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import typer

from augment import (
    BuilderReplay,
    Dialect,
    Puzzle,
    TaskFolder,
    plausible_arrangements,
    write_atomically,
)
from hrm_core import Checkpoint, Engine, open_checkpoint
from service.cli.engine import make_engine
from service.cli.output import (
    console,
    progress_bar,
    progress_line,
    stop_on_signals,
    time_left,
    working,
)
from service.cli.task_sources import read_builder_source
from service.runtime.devices import EngineOptions
from service.solving.branches import read_state, write_state
from service.solving.enrolment import check_arc
from service.solving.examination import keep
from service.solving.recovery import Recovery, RecoveryProgress
from service.solving.row_names import Judgement, NameJudge
from service.solving.self_test import SelfTest
from service.wire.errors import AlignmentError, InputError

IDENTIFIERS_NAME = "identifiers.json"
# Also compressed, or of several passes.
LIST_PATTERN = "identifiers*.json*"
RECOVERY_NAME = "recovery.json"
SAVE_EVERY_S = 30.0
STOPPED_CODE = 130


def check_unnamed(folder: Path) -> Path:
    """Return the path of a checkpoint's names, which must not exist yet.

    Raises: InputError.
    """
    present = next(folder.glob(LIST_PATTERN), None)
    if present is not None:
        raise InputError(f"{present} exists already and is kept: move it away to rebuild it")
    return folder / IDENTIFIERS_NAME


def replay_hrm(
    folder: Path,
    data: Sequence[str],
    num_variants: int,
    seed: int,
    options: EngineOptions,
    canvas: int | None,
) -> list[Puzzle]:
    """Write the names of a checkpoint's rows, and return the puzzles that they are of.

    Raises: InputError, AlignmentError when no order of the tasks fits the rows; typer.Exit with
    code 130 when a recovery was stopped.
    """
    path = check_unnamed(folder)
    checkpoint = open_checkpoint(folder, canvas)
    check_arc(checkpoint)
    if checkpoint.config.crop:
        raise InputError(f"{folder} was trained with crop, so HRM's builder did not name its rows")
    sources = [read_builder_source(source) for source in data]
    folders = [[task.task.puzzle for task in one.tasks] for source in sources for one in source]
    builder = BuilderReplay(num_variants, seed)
    identity = _identify(checkpoint, sources, builder)
    engine = make_engine(checkpoint, options)
    judge = NameJudge(engine, folders)
    kept_state = read_state(folder / RECOVERY_NAME, identity)
    cleared = None
    if kept_state is None:  # else the plausible orders were tried before
        proposals = _propose(sources, builder, checkpoint.rows.num_rows)
        cleared = _best_cleared(proposals, judge)
    if cleared is None:
        recovery = Recovery(engine, sources, builder, kept_state)
        recovered = _recover(engine, recovery, identity)
        cleared = recovered, _check(judge.judge(recovered))
    names, test = cleared
    write_atomically(path, [json.dumps(names)])
    keep(open_checkpoint(folder, canvas), test)  # with its names it has another hash
    console.print(f"{path}: {len(names)} names", markup=False)
    with suppress(FileNotFoundError):
        (folder / RECOVERY_NAME).unlink()
    return [puzzle for puzzles in folders for puzzle in puzzles]


def _propose(
    sources: Sequence[Sequence[TaskFolder]], builder: BuilderReplay, num_rows: int
) -> dict[str, list[str]]:
    """Replay all plausible orders; return those with as many names as rows, by description."""
    arrangements = plausible_arrangements(sources)
    num_tasks = sum(len(folder.tasks) for source in sources for folder in source)
    proposals = {}
    with progress_bar() as bar:
        job = bar.add_task("replaying the builder", total=len(arrangements) * num_tasks)
        for one in arrangements:
            names = builder.names(one.tasks, Dialect.HRM, lambda: bar.update(job, advance=1))
            fits = len(names) == num_rows
            if fits:
                proposals[one.description] = names
            found = "as many as rows" if fits else f"but the table has {num_rows} rows"
            sentence = f"{one.description}: {len(names)} names, {found}"
            console.print(sentence, markup=False, soft_wrap=True)
    return proposals


def _best_cleared(
    proposals: Mapping[str, list[str]], judge: NameJudge
) -> tuple[list[str], SelfTest] | None:
    """Return the names that are cleared and their test; of several, those with most right cells."""
    cleared = []
    for description, names in proposals.items():
        with working("testing the names"):
            judgement = judge.judge(names)
        console.print(f"{description}: {judgement.verdict}", markup=False, soft_wrap=True)
        if judgement.test is not None and judgement.is_cleared:
            cleared.append((names, judgement.test))
    return max(cleared, key=lambda both: both[1].cell_share, default=None)


def _identify(
    checkpoint: Checkpoint, sources: Sequence[Sequence[TaskFolder]], builder: BuilderReplay
) -> str:
    digest = hashlib.sha256(f"{checkpoint.sha256} {builder.num_variants} {builder.seed}".encode())
    for source in sources:
        for folder in source:
            digest.update(f"\n{folder.name}".encode())
            for one in folder.tasks:
                puzzle = one.task.puzzle
                digest.update(f" {puzzle.name} {puzzle.demonstrations_hash}".encode())
    return digest.hexdigest()


def _recover(engine: Engine, recovery: Recovery, identity: str) -> list[str]:
    """Recover the names row by row, keeping the state of it in the checkpoint's folder.

    Raises: AlignmentError; typer.Exit when it was stopped.
    """
    path = engine.checkpoint.folder / RECOVERY_NAME
    num_named = len(recovery.best.tasks)
    console.print(
        f"Recovering the names row by row, continuing after {num_named} puzzles."
        if num_named
        else "No order that was tried is cleared: recovering the names row by row."
    )
    saved_at = started = time.monotonic()
    with stop_on_signals() as should_stop, progress_line("first rows") as line:
        for progress in recovery.run():
            now = time.monotonic()
            text = _describe(progress, recovery.num_tasks, now - started)
            line.update(text, completed=progress.num_asked, total=progress.num_expected)
            if should_stop() or now - saved_at > SAVE_EVERY_S:
                saved_at = now
                write_state(path, identity, recovery.state)
            if should_stop():
                sentence = f"Stopped ({text}). The same command continues from here."
                console.print(sentence, soft_wrap=True)
                raise typer.Exit(STOPPED_CODE)
    num_doubtful = recovery.best.num_doubtful()
    console.print(
        f"{recovery.num_tasks} puzzles have their rows, {num_doubtful} of them with little "
        f"evidence ({text})",
        soft_wrap=True,
    )
    return recovery.names()


def _check(judgement: Judgement) -> SelfTest:
    """Print what is said of recovered names, and refuse those that are not cleared."""
    console.print(f"Recovered names: {judgement.verdict}", markup=False, soft_wrap=True)
    if judgement.test is None or not judgement.is_cleared:
        raise AlignmentError("the recovered names are not cleared, so they are not written")
    return judgement.test


def _describe(progress: RecoveryProgress, num_tasks: int, seconds: float) -> str:
    rate = progress.num_asked / max(seconds, 1e-3)
    text = f"{progress.num_named} of {num_tasks} puzzles, {rate:.1f} samples/s"
    if not rate or progress.num_named == num_tasks:
        return text
    left = (progress.num_expected - progress.num_asked) / rate
    return f"{text}, {time_left(left, progress.num_expected / rate)}"
