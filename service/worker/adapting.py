"""Adaptations of a worker: one at a time, in turns with the engines."""

import time
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import structlog

from hrm_core import (
    Adaptation,
    AdaptProgress,
    AdaptTurn,
    Checkpoint,
    Phase,
    can_compile,
    pick_device,
)
from service.adaptation.cache import AdaptedCache, Entry
from service.adaptation.prepare import AdaptOptions, is_worth_compiling, prepare_adaptation
from service.wire.errors import AdaptationError
from service.wire.progress import AdaptationProgress, Progress
from service.worker.failures import JOB_ERRORS
from service.worker.messages import Adapts, Advanced, Progressed, Runs, Told
from service.worker.request import SolveRequest

# A step takes a second or two on a CPU; a slice keeps an engine waiting for a fraction of that.
SLICE_SIZE = 24
REPORT_EVERY_S = 1.0
# Another worker adapts to the same puzzle: how often to look whether it is done.
LOOK_EVERY_S = 1.0
# What ends an adaptation, and the jobs that wait for it, alone.
ENDING_ERRORS: tuple[type[Exception], ...] = (*JOB_ERRORS, OSError)
# After a slice the engines, while they have work, get so much more time than it took.
ENGINE_SHARE = 2.0


@dataclass(slots=True)
class Wish:
    """An adaptation that jobs wait for; `id` is the entry it will be."""

    id: str
    base: Checkpoint
    base_name: str
    request: SolveRequest
    job_ids: list[str] = field(default_factory=list)
    looked_at: float = 0.0


@dataclass(slots=True)
class _Active:
    wish: Wish
    adaptation: Adaptation
    turns: Iterator[AdaptTurn]
    lock: ExitStack
    num_saves: int = 0
    is_between_steps: bool = True
    reported_at: float = 0.0
    # The phases of which a step was taken, so that it is compiled.
    stepped: set[Phase] = field(default_factory=set)

    @property
    def compiles_next(self) -> bool:
        """Whether the step of its phase is not compiled yet."""
        return self.adaptation.phase not in self.stepped


class Adaptations:
    """The adaptations that a worker's jobs wait for, made one at a time, and those kept.

    Whoever owns the device calls `turn`, again and again, while it `is_due`.
    """

    def __init__(
        self,
        cache: AdaptedCache,
        tell: Callable[[Told], None],
        *,
        device: str,
        num_threads: int | None = None,
        snapshot_s: float,
        recipe: AdaptOptions | None = None,
        compiles: bool = False,
        tuned_folder: Path | None = None,
    ) -> None:
        self.cache = cache
        self._tuned_folder = tuned_folder
        self._tell = tell
        self._device, self._num_threads = device, num_threads
        recipe = recipe or AdaptOptions(slice_size=SLICE_SIZE)
        self._recipe = replace(recipe, snapshot_s=snapshot_s)
        self._wishes: dict[str, Wish] = {}
        self._active: _Active | None = None
        # By job, the entries that it has waited for.
        self._made_for: dict[str, set[str]] = {}
        self._owed_s = 0.0
        self._compiles = compiles and can_compile(pick_device(device))
        self._log: Any = structlog.get_logger(__name__)

    @property
    def may_compile(self) -> bool:
        """Whether the next turn may take a minute, since another phase's step is compiled in it."""
        active = self._active
        return self._compiles and (active is None or active.compiles_next)

    @property
    def num_waiting(self) -> int:
        """How many adaptations jobs wait for."""
        return len(self._wishes)

    def evict(self, kept: Collection[str]) -> tuple[str, ...]:
        """Remove the least recently used of those there is no room for, but none of some.

        Gives their ids.
        """
        made = {entry_id for entries in self._made_for.values() for entry_id in entries}
        return self.cache.evict({*kept, *made, *self._wishes})

    def find(
        self, job_id: str, base: Checkpoint, base_name: str, request: SolveRequest
    ) -> tuple[Entry, bool] | None:
        """Give the adapted checkpoint for a job and whether it is an earlier job's; None: wait."""
        wanted = (
            request.owner,
            base.sha256,
            request.task.puzzle.demonstrations_hash,
            request.options.adapt_variants or self._recipe.num_variants,
            request.options.adapt_s,
            request.options.adapt_steps,
        )
        entry_id = self.cache.name(base_name, *wanted)
        wish = self._wishes.get(entry_id)
        if wish is not None and job_id in wish.job_ids:
            return None
        entry = self.cache.find(*wanted)
        if entry is not None:
            self.cache.touch(entry.id)
            return entry, entry.id not in self._made_for.get(job_id, ())
        if wish is None:
            wish = self._wishes[entry_id] = Wish(entry_id, base, base_name, request)
        wish.job_ids.append(job_id)
        self._tell(Adapts(job_id))
        self._tell(Progressed(job_id, _document(wish, None, "")))
        return None

    def forget(self, job_id: str) -> None:
        """Drop a job; what nobody waits for any longer stops, its last snapshot stays."""
        self._made_for.pop(job_id, None)
        for wish in tuple(self._wishes.values()):
            if job_id in wish.job_ids:
                wish.job_ids.remove(job_id)
                if not wish.job_ids:
                    self._drop(wish)

    def is_due(self, engine_s: float | None) -> bool:
        """Tell whether the device is an adaptation's now.

        Units: `engine_s` is how long the engines have just worked, None when they have no work.
        """
        if not self._wishes:
            return False
        if engine_s is None:
            self._owed_s = 0.0
        else:
            self._owed_s -= engine_s
        return self._owed_s <= 0.0

    def turn(self) -> dict[str, Exception]:
        """Do a slice of the work; gives the jobs that came to nothing by it, and why."""
        started = time.monotonic()
        wish: Wish | None = None
        try:
            if self._active is None:
                wish = self._next_wish()
                if wish is None:
                    return {}
                self._activate(wish)
            if self._active is not None:
                wish = self._active.wish
                self._advance(self._active)
        except ENDING_ERRORS as error:
            if wish is None:
                raise
            self._log.warning("adaptation failed", entry=wish.id, reason=str(error))
            self._drop(wish)
            return dict.fromkeys(wish.job_ids, _told(error))
        finally:
            self._owed_s = ENGINE_SHARE * (time.monotonic() - started)
        return {}

    def suspend(self) -> tuple[str, ...]:
        """Stop at the end of the step and write a snapshot; gives the jobs that waited."""
        waiting = tuple(job_id for wish in self._wishes.values() for job_id in wish.job_ids)
        active = self._active
        if active is not None:
            turn: AdaptTurn | None = None
            while not active.is_between_steps and (turn := next(active.turns, None)) is not None:
                active.is_between_steps = turn.is_between_steps
            if active.is_between_steps and not active.adaptation.is_complete:
                self._save(active)
        for wish in tuple(self._wishes.values()):
            self._drop(wish)
        return waiting

    def _save(self, active: _Active) -> None:
        """Write a snapshot; without room for it the one before has to do."""
        try:
            active.adaptation.save()
        except OSError as error:
            self._log.warning(
                "adaptation suspended without a snapshot", entry=active.wish.id, reason=str(error)
            )
        else:
            self._log.info("adaptation suspended", entry=active.wish.id)

    def _next_wish(self) -> Wish | None:
        """Give the first wish that was not looked at just now: others may be another worker's."""
        now = time.monotonic()
        for wish in self._wishes.values():
            if now - wish.looked_at >= LOOK_EVERY_S:
                wish.looked_at = now
                return wish
        time.sleep(0.01)  # nothing to do but wait: the engines' thread shall not spin
        return None

    def _activate(self, wish: Wish) -> None:
        """Begin with a wish unless another worker is at it, or has fulfilled it."""
        with ExitStack() as lock:
            if not lock.enter_context(self.cache.locked(wish.id)):
                return
            entry = self.cache.entry(wish.id)
            if entry is not None and entry.record.is_complete:
                self._fulfil(wish, is_own=False)
                return
            options = replace(
                self._recipe,
                seconds=wish.request.options.adapt_s,
                steps=wish.request.options.adapt_steps,
                num_variants=wish.request.options.adapt_variants or self._recipe.num_variants,
            )
            self.cache.touch(wish.id)
            adaptation = prepare_adaptation(
                wish.base,
                wish.base.config,
                [wish.request.task.puzzle],
                self.cache.folder(wish.id),
                options,
                device=self._device,
                compile_step=self._compiles and is_worth_compiling(options),
                num_threads=self._num_threads,
                owner=wish.request.owner,
                tuned_folder=self._tuned_folder,
            )
            self._log.info("adaptation begins", entry=wish.id, step=adaptation.run.step)
            self._active = _Active(wish, adaptation, adaptation.turns(), lock.pop_all())

    def _advance(self, active: _Active) -> None:
        phase = active.adaptation.phase
        turn = next(active.turns, None)
        if turn is not None:
            active.is_between_steps = turn.is_between_steps
            if turn.is_between_steps:
                active.stepped.add(phase)
        if active.adaptation.num_saves > active.num_saves:
            active.num_saves = active.adaptation.num_saves
            for job_id in active.wish.job_ids:
                self._tell(Advanced(job_id))
        if turn is None:
            self._conclude(active)
        elif time.monotonic() - active.reported_at >= REPORT_EVERY_S:
            active.reported_at = time.monotonic()
            note = str(active.adaptation.record["held_out_note"])
            for job_id in active.wish.job_ids:
                progress = active.adaptation.progress
                self._tell(Progressed(job_id, _document(active.wish, progress, note)))

    def _conclude(self, active: _Active) -> None:
        adaptation, wish = active.adaptation, active.wish
        self._log.info(
            "adaptation complete",
            entry=wish.id,
            steps=adaptation.run.step,
            seconds=round(adaptation.run.seconds, 1),
            held_out_share=adaptation.held_out_share,
        )
        self._fulfil(wish, is_own=True)

    def _fulfil(self, wish: Wish, *, is_own: bool) -> None:
        self._drop(wish)
        for job_id in wish.job_ids:
            if is_own:
                self._made_for.setdefault(job_id, set()).add(wish.id)
            self._tell(Runs(job_id))

    def _drop(self, wish: Wish) -> None:
        self._wishes.pop(wish.id, None)
        if self._active is not None and self._active.wish is wish:
            self._active.lock.close()
            self._active = None


def _told(error: Exception) -> Exception:
    """Put what the file system refuses into words for callers; the place is for the log."""
    if not isinstance(error, OSError):
        return error
    return AdaptationError(
        f"the adaptation could not be written ({error.strerror or type(error).__name__}): the "
        "service's state folder needs room, or a mend"
    )


def _document(wish: Wish, progress: AdaptProgress | None, note: str) -> bytes:
    """Tell how far an adaptation is, as a job's progress; None while it waits for its turn."""
    adaptation = AdaptationProgress(
        checkpoint=wish.base_name,
        phase="waiting",
        used_share=0.0,
        steps=0,
        seconds=0.0,
        held_out_note=note,
    )
    if progress is not None:
        train = progress.train
        adaptation = AdaptationProgress(
            checkpoint=wish.base_name,
            phase=progress.phase.value,
            used_share=progress.used_share,
            steps=progress.step,
            seconds=progress.seconds,
            loss=None if train is None else train.lm_loss,
            right_share=None if train is None else train.right_share,
            held_out_share=progress.held_out_share,
            held_out_note=note,
        )
    return Progress(
        outcomes=0,
        asked=0,
        decided=0,
        test_inputs=len(wish.request.task.puzzle.test),
        adaptation=adaptation,
    ).to_json()
