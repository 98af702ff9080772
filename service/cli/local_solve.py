"""A solve on this machine: which checkpoint answers each puzzle, adapted to it first or not."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import typer

from augment import CanvasError, Puzzle, Task
from hrm_core import AdaptProgress, HRMCoreError, open_checkpoint
from service.adaptation.cache import AdaptationKey, AdaptedCache, Entry
from service.adaptation.prepare import (
    AdaptOptions,
    check_fit,
    prepare_adaptation,
)
from service.cli.engine import check_rows, make_engine
from service.cli.output import (
    ProgressLine,
    notices,
    progress_bar,
    progress_line,
    stop_on_signals,
    time_left,
    warn,
)
from service.runtime.choice import choose_checkpoint
from service.runtime.devices import EngineOptions, split_devices
from service.runtime.folders import shipped_folders, state_subfolder
from service.runtime.key_ring import LOCAL_OWNER
from service.runtime.settings import Settings
from service.runtime.timing import seconds_since_start
from service.solving.enrolment import RowIndex, check_arc
from service.solving.members import Member
from service.solving.solve import Solving, solve
from service.wire.answer import Answer
from service.wire.errors import EnrolmentError, InputError
from service.wire.options import Adapt, SolveOptions

# How often to look whether another process has done with an adaptation.
LOOK_EVERY_S = 0.5


class _Road(NamedTuple):
    """A checkpoint that votes on a puzzle; `is_adapted`: to be adapted to it first."""

    row_index: RowIndex
    is_adapted: bool


class _Voter(NamedTuple):
    """A member, the checkpoint that it is of, and whether that was adapted for this solve."""

    row_index: RowIndex
    member: Member
    is_adapted: bool


def solve_locally(
    tasks: Sequence[Task],
    folders: Sequence[Path],
    chosen: SolveOptions,
    engine_options: EngineOptions,
    canvas: int | None,
) -> list[Answer]:
    """Solve puzzles with checkpoint folders that vote together, each in one engine.

    Without folders each puzzle has the shipped checkpoint that `choose_checkpoint` finds. What no
    checkpoint can answer is refused before any is adapted.

    Raises: AugmentError, HRMCoreError, ServiceError for what a checkpoint or the device cannot do.
    """
    settings = Settings.load()
    adapt = chosen.adapt if "adapt" in chosen.model_fields_set else settings.default_adapt
    puzzles = [task.puzzle for task in tasks]
    if folders:
        named = [RowIndex(open_checkpoint(folder, canvas)) for folder in folders]
        roads = [[_road_of(one, puzzle, adapt) for one in named] for puzzle in puzzles]
    else:
        roads = [[road] for road in _choose(puzzles, adapt, canvas, settings)]
    adaptation = _LocalAdaptation(chosen, engine_options, settings)
    voters = [
        [_enrol(road, puzzle, adaptation, is_said=not folders) for road in mine]
        for puzzle, mine in zip(puzzles, roads, strict=True)
    ]
    adaptation.cache.evict(tuple(one.member.name for mine in voters for one in mine))
    # The puzzles that the same checkpoints vote on are solved together.
    groups: dict[tuple[int, ...], list[int]] = {}
    for index, mine in enumerate(voters):
        groups.setdefault(tuple(id(one.row_index) for one in mine), []).append(index)
    answers: dict[int, Answer] = {}
    for group in groups.values():
        solvings = [
            Solving(puzzles[index], [one.member for one in voters[index]], chosen)
            for index in group
        ]
        solved = _solve(
            [tasks[index] for index in group], voters[group[0]], solvings, engine_options
        )
        answers |= dict(zip(group, solved, strict=True))
    return [answers[index] for index in range(len(tasks))]


def _road_of(row_index: RowIndex, puzzle: Puzzle, adapt: Adapt) -> _Road:
    """Return how a checkpoint that was named answers a puzzle.

    Raises: AdaptationError, EnrolmentError where it would have to be adapted, and cannot be.
    """
    kind = row_index.kind
    may_adapt = kind.has_own_rows and puzzle.kind == kind.name and adapt != "never"
    if not may_adapt or (adapt == "auto" and row_index.knows(puzzle)):
        return _Road(row_index, is_adapted=False)
    checkpoint = row_index.checkpoint
    check_arc(checkpoint)
    check_fit([puzzle], checkpoint.config.canvas, str(checkpoint.folder))
    return _Road(row_index, is_adapted=True)


def _choose(
    puzzles: Sequence[Puzzle], adapt: Adapt, canvas: int | None, settings: Settings
) -> list[_Road]:
    """Choose a shipped checkpoint for each puzzle.

    Raises: UnknownPuzzle, CanvasExceeded; InputError where there are no checkpoints.
    """
    folders = shipped_folders(settings.default_checkpoint)
    default = folders[0].name
    opened: dict[str, RowIndex] = {}
    # Most often the default one knows them all, and no other has to be opened.
    for folder in folders:
        row_index = _open(folder, canvas)
        if row_index is None:
            continue
        opened[folder.name] = row_index
        is_default, side = folder.name == default, row_index.checkpoint.config.canvas
        if (
            is_default
            and adapt != "always"
            and all(puzzle.fits(side) and row_index.knows(puzzle) for puzzle in puzzles)
        ):
            break
    candidates = [row_index.as_candidate(name) for name, row_index in opened.items()]
    roads = []
    for puzzle in puzzles:
        known_to = [name for name, row_index in opened.items() if row_index.knows(puzzle)]
        choice = choose_checkpoint(puzzle, candidates, known_to, adapt=adapt, default=default)
        roads.append(_Road(opened[choice.checkpoint], choice.is_adapted))
    return roads


def _open(folder: Path, canvas: int | None) -> RowIndex | None:
    """Open a shipped checkpoint; None, with a warning, for one that is of no use."""
    try:
        row_index = RowIndex(open_checkpoint(folder, canvas))
        if row_index.kind.has_own_rows:
            check_arc(row_index.checkpoint)
        row_index.as_candidate(folder.name)  # damaged files are found now
    except (HRMCoreError, InputError, OSError) as error:
        warn(f"{folder.name} is left out: {error}")
        return None
    return row_index


class _LocalAdaptation:
    """Adapts checkpoints to single puzzles, or finds what was kept of an earlier adaptation.

    A service on this machine uses the same cache for jobs of callers without a key.
    """

    def __init__(self, options: SolveOptions, engine: EngineOptions, settings: Settings) -> None:
        self._engine = engine
        seconds, steps = options.adapt_s, options.adapt_steps
        if seconds is None and steps is None:
            seconds = settings.adapt_default_s
        num_variants = options.adapt_variants or AdaptOptions().num_variants
        self._recipe = AdaptOptions(seconds=seconds, steps=steps, num_variants=num_variants)
        folder = state_subfolder("adapted", settings.state_folder)
        self.cache = AdaptedCache(folder, settings.adapt_cache_bytes)

    @property
    def budget(self) -> str:
        """The limit of the training in words."""
        seconds, steps = self._recipe.seconds, self._recipe.steps
        limits = [f"{seconds:g} s"] if seconds is not None else []
        limits += [f"{steps} steps"] if steps is not None else []
        return f"at most {' or '.join(limits)} of training"

    def find(self, base: RowIndex, puzzle: Puzzle) -> Entry | None:
        """Return an adaptation that is kept, and note its use."""
        entry = self.cache.find(self._key(base, puzzle))
        if entry is not None:
            self.cache.touch(entry.id)
        return entry

    def make(self, base: RowIndex, puzzle: Puzzle) -> Entry:
        """Adapt a base to a puzzle, going on from a snapshot where there is one.

        Raises: AdaptationError, TrainingError; typer.Exit with code 130 when a signal stops it.
        """
        entry_id = self._key(base, puzzle).entry_id(base.name)
        text = f"adapting {base.name} to {puzzle.name}"
        with stop_on_signals() as should_stop, progress_line(text, total=1000) as line:
            while not should_stop():
                with self.cache.locked(entry_id) as is_mine:
                    if not is_mine:
                        line.update(f"{text}: another process does that now")
                        time.sleep(LOOK_EVERY_S)
                        continue
                    entry = self.cache.entry(entry_id)
                    if entry is not None and entry.record.complete:
                        return entry
                    if not self._train(base, puzzle, entry_id, text, line, should_stop):
                        break
        notices.print("Stopped. The same command continues from here.")
        raise typer.Exit(130)

    def _key(self, base: RowIndex, puzzle: Puzzle) -> AdaptationKey:
        return AdaptationKey(
            owner=LOCAL_OWNER,
            base_sha256=base.checkpoint.sha256,
            demonstrations_hash=puzzle.demonstrations_hash,
            num_variants=self._recipe.num_variants,
            seconds=self._recipe.seconds,
            steps=self._recipe.steps,
        )

    def _train(
        self,
        base: RowIndex,
        puzzle: Puzzle,
        entry_id: str,
        text: str,
        line: ProgressLine,
        should_stop: Callable[[], bool],
    ) -> bool:
        """Train in the folder of an entry; return whether the adaptation is complete."""
        self.cache.touch(entry_id)
        adaptation = prepare_adaptation(
            base.checkpoint,
            base.checkpoint.config,
            [puzzle],
            self.cache.folder(entry_id),
            self._recipe,
            device=split_devices(self._engine.device)[0],
            num_threads=self._engine.num_threads,
            tuned_folder=state_subfolder("tuned"),
        )

        def show(progress: AdaptProgress) -> None:
            shown = text
            if left := time_left(progress.remaining_s, progress.expected_s):
                shown += f", {left}"
            if progress.held_out_share is not None:
                shown += f", held out {progress.held_out_share:.0%} right"
            line.update(shown, completed=int(1000 * progress.used_share))

        return adaptation.adapt(show, should_stop)


def _enrol(road: _Road, puzzle: Puzzle, adaptation: _LocalAdaptation, *, is_said: bool) -> _Voter:
    """Find a checkpoint's rows for a puzzle, adapting it first where that is its road.

    `is_said`: say also that a puzzle is known.
    """
    base, is_adapted = road
    if not is_adapted:
        try:
            member = Member.find(base, puzzle)
        except CanvasError as error:  # it does not name the checkpoint
            raise EnrolmentError(f"{base.checkpoint.folder}: {error}") from error
        if is_said:
            _say(puzzle, f"known to {base.name}")
        return _Voter(base, member, is_adapted=False)
    entry = adaptation.find(base, puzzle)
    is_reused = entry is not None
    if entry is None:
        _say(puzzle, f"{base.name} does not know it, and is adapted to it: {adaptation.budget}")
        entry = adaptation.make(base, puzzle)
    record = entry.record
    when = ", kept from an earlier run" if is_reused else ""
    _say(puzzle, f"adapted {base.name} in {record.seconds:.0f} s{when}")
    row_index = RowIndex(open_checkpoint(entry.folder))
    summary = record.summary(is_reused=is_reused, demonstrations_hash=puzzle.demonstrations_hash)
    member = Member.find(row_index, puzzle, name=entry.id, adaptation=summary)
    return _Voter(row_index, member, is_adapted=True)


def _say(puzzle: Puzzle, sentence: str) -> None:
    notices.print(f"{puzzle.name}: {sentence}", soft_wrap=True)


def _solve(
    tasks: Sequence[Task],
    voters: Sequence[_Voter],
    solvings: Sequence[Solving],
    engine_options: EngineOptions,
) -> list[Answer]:
    """Solve the puzzles of a group, with an engine for each of its checkpoints."""
    opened_s = seconds_since_start()
    engines = [
        make_engine(
            voter.row_index.checkpoint,
            engine_options,
            sum(solving.num_asked_of(index) for solving in solvings),
        )
        for index, voter in enumerate(voters)
    ]
    warnings = [
        sentence
        for engine, voter in zip(engines, voters, strict=True)
        if not voter.is_adapted  # this program wrote its rows and names together
        for sentence in check_rows(engine, voter.row_index)
    ]
    times = {"start_to_opened": opened_s, "start_to_ready": seconds_since_start()}
    with progress_bar() as bar:
        job = bar.add_task("variants", total=sum(one.progress.asked for one in solvings))

        def show() -> None:
            times.setdefault("to_first_segment", seconds_since_start())
            bar.update(job, completed=sum(one.progress.outcomes for one in solvings))

        solve(engines, solvings, show)
    answers = []
    for task, solving in zip(tasks, solvings, strict=True):
        answer = solving.answer(task.expected)
        for sentence in answer.warnings:  # the others were printed by the test of the rows
            warn(f"{task.puzzle.name}: {sentence}")
        timings_s = answer.timings_s | {stage: round(value, 3) for stage, value in times.items()}
        changes = {"warnings": (*answer.warnings, *warnings), "timings_s": timings_s}
        answers.append(answer.model_copy(update=changes))
    return answers
