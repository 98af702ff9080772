"""Adaptation on this machine: one checkpoint, adapted to all puzzles without rows."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any

from augment import Puzzle
from hrm_core import Adaptation, AdaptProgress, Checkpoint
from hrm_core.training.checks import STEP_COST
from service.adaptation.prepare import AdaptOptions, prepare_adaptation
from service.adaptation.recipes import find_recipe
from service.runtime.choice import best_base
from service.runtime.devices import EngineOptions, split_devices
from service.runtime.folders import state_subfolder
from service.solving.enrolment import RowIndex
from service.solving.records import ADAPTATION_NAME, read_adaptation
from service.submission.run import Refusal, Run
from service.submission.session import SubmitConfig, SubmitSession
from service.wire.errors import AdaptationError

DEFAULT_MINUTES = 10.0
# Of the time of a run that must end by a moment, the votes get at least and at most so much.
MIN_VOTE_SHARE, MAX_VOTE_SHARE = 0.05, 0.5


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

    options = adapt_options(config, puzzles)
    num_variants = min(options.num_variants, config.options.variants or options.num_variants)
    num_votes = num_variants * sum(len(one.inputs) for one in run.challenges)
    longest_s = options.seconds or inf
    if run.clock.left_s is not None and config.until is not None:
        at_first_s = training_end_s(0.0, run.clock.left_s, run.clock.left_s, None)
        options = replace(options, seconds=max(1.0, min(at_first_s, longest_s)))

    def steer(adaptation: Adaptation) -> None:
        left_s, whole_s = run.clock.left_s, run.clock.budget_s
        if config.until is None or left_s is None or whole_s is None:
            return
        vote_s, num_segments = adaptation.sample_s, adaptation.run.config.max_segments
        if vote_s is not None:
            vote_s *= num_votes * (config.options.max_segments or num_segments) / STEP_COST
        end_s = training_end_s(adaptation.run.seconds, left_s, whole_s, vote_s)
        adaptation.end_within(min(end_s, longest_s))

    return adapt_checkpoint(
        base,
        puzzles,
        config.paths.adapted,
        options,
        config.engine,
        show,
        lambda: session.should_stop() or run.clock.is_over,
        steer,
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
    steer: Callable[[Adaptation], None] = lambda _: None,
) -> Path | None:
    """Adapt a checkpoint to puzzles, or continue; a complete adaptation is returned as it is.

    `steer` is called before the first step and with each progress, and may change the budget.
    """
    if not puzzles:
        return None
    if _is_made(folder, puzzles, base.sha256):
        return folder
    if should_stop():
        return None
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
    steer(adaptation)

    def show_and_steer(progress: AdaptProgress) -> None:
        steer(adaptation)
        show(progress)

    return folder if adaptation.adapt(show_and_steer, should_stop) else None


def remove_adaptation(folder: Path) -> None:
    """Remove a folder if it holds an adaptation."""
    if (folder / ADAPTATION_NAME).is_file():
        shutil.rmtree(folder)


def adapt_options(config: SubmitConfig, puzzles: Sequence[Puzzle]) -> AdaptOptions:
    """Return the options of the adaptation to a file's puzzles: those given, else the recipe's.

    Without a time or steps for it, it takes half of `minutes` at the most.
    """
    options, recipe = config.options, find_recipe(config.recipe)
    asked: dict[str, Any] = {
        "seconds": options.adapt_s,
        "steps": options.adapt_steps,
        "num_variants": options.adapt_variants,
        "seed": options.seed,
    }
    given = {name: value for name, value in asked.items() if value is not None}
    fields = recipe.options(puzzles, given)
    if "seconds" not in given and "steps" not in given:
        if config.minutes is not None:
            fields["seconds"] = min(30 * config.minutes, fields.get("seconds", inf))
        elif config.until is None and not {"seconds", "steps"} & fields.keys():
            fields["seconds"] = 60 * DEFAULT_MINUTES
    return AdaptOptions(**fields)


def training_end_s(trained_s: float, left_s: float, whole_s: float, vote_s: float | None) -> float:
    """Return when to end the training so that the votes find the time they take.

    `vote_s` is what all of them take at the speed measured; None before anything was.

    Units: seconds; the end in seconds of training, the `trained_s` that are over included.
    """
    longest = MAX_VOTE_SHARE * whole_s
    reserved = longest if vote_s is None else min(max(vote_s, MIN_VOTE_SHARE * whole_s), longest)
    return trained_s + max(0.0, left_s - reserved)


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
