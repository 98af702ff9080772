"""Adaptation on this machine: one checkpoint, adapted to all puzzles without rows."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from augment import Puzzle
from hrm_core import AdaptProgress, Checkpoint
from service.adaptation.prepare import AdaptOptions, prepare_adaptation
from service.runtime.choice import best_base
from service.runtime.devices import EngineOptions, split_devices
from service.runtime.folders import state_subfolder
from service.solving.enrolment import RowIndex
from service.solving.records import ADAPTATION_NAME, read_adaptation
from service.submission.run import Refusal, Run
from service.submission.session import SubmitConfig, SubmitSession
from service.wire.errors import AdaptationError

DEFAULT_MINUTES = 10.0


def adapt_for_session(session: SubmitSession, row_indexes: Sequence[RowIndex]) -> Path | None:
    """Adapt a base as the session's configuration says: the first checkpoint, or the best one.

    Returns the folder of the adapted checkpoint; None where there is nothing to adapt to, and for
    a stopped adaptation, which the same call continues.

    Raises: AdaptationError for a folder with other content; DatasetError, TrainingError.
    """
    config, run = session.config, session.run
    if config.options.adapt == "never":
        return None
    is_all = config.options.adapt == "always"
    row_index = choose_base(run, row_indexes) if config.takes_one else row_indexes[0]
    base = row_index.checkpoint
    canvas = base.config.canvas
    puzzles, num_too_large = choose_puzzles(run, row_indexes, canvas=canvas, is_all=is_all)
    if puzzles:
        session.view.note(
            f"{len(puzzles)} puzzle(s) to adapt to: {base.folder} is trained on them, all together"
        )
    if num_too_large:
        session.view.note(
            f"{num_too_large} puzzle(s) without rows do not fit the {canvas} x {canvas} canvas of "
            f"{base.folder}: they get no adaptation"
        )

    def show(progress: AdaptProgress) -> None:
        share = progress.held_out_share
        held_out = "" if share is None else f", held out {share:.0%} right"
        session.view.say(f"adapting, {progress.used_share:.0%} of its time{held_out}")

    return adapt_checkpoint(
        base,
        puzzles,
        config.paths.adapted,
        _options(config),
        config.engine,
        show,
        lambda: session.should_stop() or run.clock.is_over,
    )


def choose_base(run: Run, row_indexes: Sequence[RowIndex]) -> RowIndex:
    """Return the base for a file: the best of those that most of the unknown puzzles fit.

    The first checkpoint where none of them is a base.
    """
    puzzles = run.puzzles.values()
    unknown = [one for one in puzzles if not any(index.knows(one) for index in row_indexes)]
    named = {row_index.checkpoint.folder.name: row_index for row_index in row_indexes}
    candidates = [row_index.as_candidate(name) for name, row_index in named.items()]
    bases = [one for one in candidates if one.is_base]
    num_fitting = {base.name: sum(puzzle.fits(base.canvas) for puzzle in unknown) for base in bases}
    most = max(num_fitting.values(), default=0)
    best = best_base([base for base in bases if num_fitting[base.name] == most], next(iter(named)))
    return row_indexes[0] if best is None else named[best.name]


def choose_puzzles(
    run: Run, row_indexes: Sequence[RowIndex], *, canvas: int, is_all: bool
) -> tuple[list[Puzzle], int]:
    """Return the puzzles to adapt to: those that no checkpoint knows, or `is_all` of them.

    Puzzles beyond the canvas of the base are left out; those that no checkpoint knows are refused,
    and their number is returned.
    """
    chosen, num_too_large = [], 0
    for puzzle_id, puzzle in run.puzzles.items():
        is_known = any(row_index.knows(puzzle) for row_index in row_indexes)
        if puzzle.fits(canvas):
            if is_all or not is_known:
                chosen.append(puzzle)
        elif not is_known:
            num_too_large += 1
            why = f"no checkpoint has rows for it, and a {canvas} x {canvas} canvas is too small"
            run.refuse(puzzle_id, Refusal("canvas_exceeded", why))
    return chosen, num_too_large


def adapt_checkpoint(
    base: Checkpoint,
    puzzles: Sequence[Puzzle],
    folder: Path,
    options: AdaptOptions,
    engine: EngineOptions,
    show: Callable[[AdaptProgress], None],
    should_stop: Callable[[], bool],
) -> Path | None:
    """Adapt a checkpoint to puzzles, or continue; a complete adaptation is returned as it is."""
    if not puzzles:
        return None
    if _is_made(folder, puzzles, base.sha256):
        return folder
    adaptation = prepare_adaptation(
        base,
        base.config,
        puzzles,
        folder,
        options,
        device=split_devices(engine.device)[0],
        num_threads=engine.num_threads,
        tuned_folder=state_subfolder("tuned"),
    )
    return folder if adaptation.adapt(show, should_stop) else None


def remove_adaptation(folder: Path) -> None:
    """Remove a folder if it holds an adaptation."""
    if (folder / ADAPTATION_NAME).is_file():
        shutil.rmtree(folder)


def _options(config: SubmitConfig) -> AdaptOptions:
    options, seconds = config.options, config.options.adapt_s
    if seconds is None and options.adapt_steps is None:
        seconds = 60 * (DEFAULT_MINUTES if config.minutes is None else config.minutes / 2)
    return AdaptOptions(
        seconds=seconds,
        steps=options.adapt_steps,
        num_variants=options.adapt_variants or AdaptOptions().num_variants,
        seed=options.seed,
    )


def _is_made(folder: Path, puzzles: Sequence[Puzzle], base_sha256: str) -> bool:
    record = read_adaptation(folder)
    if record is None or not record.complete:
        return False
    wanted = {puzzle.name: puzzle.demonstrations_hash for puzzle in puzzles}
    if (record.base_sha256, record.puzzles) != (base_sha256, wanted):
        raise AdaptationError(
            f"{folder} holds an adaptation of another base, or to other puzzles: start over with "
            "--fresh, or give another --out"
        )
    return True
