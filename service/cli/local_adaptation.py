"""Adaptation for a solve on this machine: in the cache of the state folder, with its progress."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import typer

from augment import Puzzle
from hrm_core import AdaptProgress, Checkpoint, can_compile, pick_device
from service.adaptation.cache import AdaptationKey, AdaptedCache, Entry
from service.adaptation.prepare import AdaptOptions, is_worth_compiling, prepare_adaptation
from service.cli.output import ProgressLine, notices, progress_line, stop_on_signals, time_left
from service.runtime.devices import EngineOptions
from service.runtime.folders import state_subfolder
from service.runtime.key_ring import LOCAL_OWNER
from service.runtime.settings import Settings
from service.wire.options import SolveOptions

# How often to look whether another process has done with an adaptation.
LOOK_EVERY_S = 0.5


class LocalAdaptation:
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
        self._cache = AdaptedCache(folder, settings.adapt_cache_bytes)

    @property
    def budget(self) -> str:
        """The limit of the training in words."""
        seconds, steps = self._recipe.seconds, self._recipe.steps
        limits = [
            *([] if seconds is None else [f"{seconds:g} s"]),
            *([] if steps is None else [f"{steps} steps"]),
        ]
        return f"at most {' or '.join(limits)} of training"

    def find(self, base: Checkpoint, puzzle: Puzzle) -> Entry | None:
        """Return an adaptation that is kept, and note its use."""
        entry = self._cache.find(self._key(base, puzzle))
        if entry is not None:
            self._cache.touch(entry.id)
        return entry

    def make(self, base: Checkpoint, puzzle: Puzzle) -> Entry:
        """Adapt a base to a puzzle, going on from a snapshot where there is one.

        Raises: AdaptationError, TrainingError; typer.Exit with code 130 when a signal stops it.
        """
        entry_id = self._key(base, puzzle).entry_id(_name(base.folder))
        text = f"adapting {_name(base.folder)} to {puzzle.name}"
        with stop_on_signals() as should_stop, progress_line(text, total=1000) as line:
            while not should_stop():
                with ExitStack() as lock:
                    if lock.enter_context(self._cache.locked(entry_id)):
                        entry = self._cache.entry(entry_id)
                        if entry is not None and entry.record.complete:
                            return entry
                        if not self._train(base, puzzle, entry_id, text, line, should_stop):
                            break
                        continue
                line.update(f"{text}: another process does that now")
                time.sleep(LOOK_EVERY_S)
        notices.print("Stopped. The same command continues from here.")
        raise typer.Exit(130)

    def evict(self, kept: tuple[str, ...]) -> None:
        """Remove what the cache has no room for, but not the entries `kept`."""
        self._cache.evict(kept)

    def _key(self, base: Checkpoint, puzzle: Puzzle) -> AdaptationKey:
        return AdaptationKey(
            owner=LOCAL_OWNER,
            base_sha256=base.sha256,
            demonstrations_hash=puzzle.demonstrations_hash,
            num_variants=self._recipe.num_variants,
            seconds=self._recipe.seconds,
            steps=self._recipe.steps,
        )

    def _train(
        self,
        base: Checkpoint,
        puzzle: Puzzle,
        entry_id: str,
        text: str,
        line: ProgressLine,
        should_stop: Callable[[], bool],
    ) -> bool:
        """Train in the folder of an entry; return whether the adaptation is complete."""
        self._cache.touch(entry_id)
        device = self._engine.device
        adaptation = prepare_adaptation(
            base,
            base.config,
            [puzzle],
            self._cache.folder(entry_id),
            self._recipe,
            device=device,
            compile_step=is_worth_compiling(self._recipe) and can_compile(pick_device(device)),
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


def _name(folder: Path) -> str:
    return folder.resolve().name
