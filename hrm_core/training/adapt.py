"""Adaptation (test-time training): rows for new puzzles, and a trunk trained on them.

New rows start at the mean of the pretrained table. At first only the rows learn, then everything;
last, with falling rates, the held-out demonstrations are included. The base is never written to.

Source: arXiv 2511.02886 (rows at the mean, only rows at first, average).
"""

import copy
import time
from collections import deque
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import replace
from statistics import median
from typing import Any

from hrm_core.training.checks import (
    CHECK_COST,
    FIRST_CHECK,
    STEP_COST,
    Check,
    CheckedExamples,
    Ending,
    has_learned,
    has_stalled,
    right_in_segments,
    share_of,
    shares_by_puzzle,
    spacing_after,
)
from hrm_core.training.pretrain import Pretraining
from hrm_core.training.run_files import (
    AdaptProgress,
    Phase,
    TrainProgress,
    Turn,
    remove_snapshot,
)
from hrm_core.training.settings import expected_seconds

# The last part of a budget, with falling rates and all demonstrations.
LAST_SHARE = 0.3
LAST_RATE = 0.1
# Snapshots may take a twentieth of the time to write.
SNAPSHOT_COST = 20.0
# A budget of 0 would be none.
MIN_SECONDS = 1e-3
# The time of a step is the median of the last few: the first of a phase may be compiled.
NUM_STEPS_MEASURED = 32

_CHECKS = "checks"
_BY_PUZZLE = "held_out_by_puzzle"
_NEXT_CHECK = "next_check"
_LAST_FROM = "last_from"
_ENDING = "ending"
_MAX_SECONDS = "max_seconds"


AdaptTurn = Turn[AdaptProgress]


class Adaptation:
    """An adaptation in the folder of a training run, which may be a resumed one."""

    def __init__(
        self,
        run: Pretraining,
        *,
        record_name: str,
        made_from: Mapping[str, object],
        checked: Sequence[CheckedExamples] = (),
        practised: Sequence[CheckedExamples] = (),
        tapers: bool = True,
    ) -> None:
        """Prepare the adaptation; the run's `left_out` are the held-out demonstrations.

        `checked` lists those of them that are checked, and `practised` the demonstrations that are
        checked where none is held out, for the arrays of each size. `made_from` goes into the
        folder's file `record_name`, together with the adaptation's results. `tapers`: whether the
        rates fall in the last phase, and whether checks may begin it early.
        """
        self.run = run
        self._tapers = tapers
        self._limit(run.notes.get(_MAX_SECONDS))
        self._documents = run.documents
        self._record_name, self._made_from = record_name, made_from
        self._held_out = [one for one in checked if len(one.indices)]
        self._practised = [one for one in practised if len(one.indices)]
        self._min_steps_between_checks = CHECK_COST * self._check_cost
        self._latest: TrainProgress | None = None
        self._saved_at = run.seconds
        self._save_cost_s = 0.0
        self._steps_s: deque[float] = deque(maxlen=NUM_STEPS_MEASURED)
        self.num_saves = 0

    @property
    def checks(self) -> tuple[Check, ...]:
        """The checks so far."""
        return tuple(Check(*check) for check in self.run.notes.get(_CHECKS, ()))

    @property
    def held_out_share(self) -> float | None:
        """The last share before the held-out demonstrations were included; None without any."""
        return self.checks[-1].held_out_share if self.checks else None

    @property
    def learned_share(self) -> float | None:
        """The last share of the demonstrations of puzzles with none held out; None without any."""
        return self.checks[-1].learned_share if self.checks else None

    @property
    def phase(self) -> Phase:
        """The current phase."""
        if _LAST_FROM in self.run.notes:
            return Phase.LAST
        is_early = self.run.used_share < self.run.settings.rows_only_share
        return Phase.ROWS if is_early else Phase.ALL

    @property
    def stopped_early(self) -> bool:
        """Whether the last phase began before the budget made it due."""
        return float(self.run.notes.get(_LAST_FROM, 1.0)) < 1.0 - LAST_SHARE - 1e-6

    @property
    def ending(self) -> Ending | None:
        """Why the last phase began; None before it."""
        if _LAST_FROM not in self.run.notes:
            return None
        return Ending(self.run.notes.get(_ENDING, Ending.BUDGET))

    @property
    def is_complete(self) -> bool:
        """Whether the adaptation is complete."""
        return self.run.used_share >= self._ends_at

    @property
    def used_share(self) -> float:
        """The share of the budget to be used that is used, 0..1."""
        return min(1.0, self.run.used_share / self._ends_at)

    def turns(self) -> Generator[AdaptTurn, None, None]:
        """Adapt to the end, a slice of a batch at a time, writing snapshots at intervals.

        Time counts only while this runs. Stop only between two steps; `save` then loses nothing.
        """
        if not self.is_complete:
            self._enter_last_when_due()
            began_s = self.run.seconds
            for turn in self.run.turns():
                if turn.progress is not None:
                    self._latest = turn.progress
                if turn.is_between_steps:
                    self._steps_s.append(self.run.seconds - began_s)
                    yield from self._check_when_due()
                    self._enter_last_when_due()
                    self._save_when_due()
                    began_s = self.run.seconds
                yield AdaptTurn(turn.is_between_steps, self.progress)
                if turn.is_between_steps and self.is_complete:
                    break
        self.save()
        if self.run.ranks.is_first:
            remove_snapshot(self.run.folder)

    def adapt(
        self,
        on_progress: Callable[[AdaptProgress], None],
        should_stop: Callable[[], bool] = lambda: False,
    ) -> bool:
        """Adapt to the end or until `should_stop`; return whether the end was reached."""
        for turn in self.turns():
            if turn.progress is not None:
                on_progress(turn.progress)
            if not turn.is_between_steps or self.is_complete:
                continue
            if self.run.ranks.agree(should_stop()):
                self.save()
                return False
        return True

    @property
    def progress(self) -> AdaptProgress:
        """The progress of the adaptation."""
        return AdaptProgress(
            phase=self.phase,
            used_share=round(self.used_share, 5),
            step=self.run.step,
            seconds=round(self.run.seconds, 1),
            train=self._latest,
            held_out_share=self.held_out_share,
            learned_share=self.learned_share,
            expected_s=None if self.expected_s is None else round(self.expected_s, 1),
            remaining_s=None if self.remaining_s is None else round(self.remaining_s, 1),
        )

    @property
    def step_s(self) -> float | None:
        """The seconds that a step takes, as measured; None before the first one."""
        return median(self._steps_s) if self._steps_s else None

    @property
    def expected_s(self) -> float | None:
        """The seconds of training that the whole takes, as measured so far; None if unknown."""
        settings, run = self.run.settings, self.run
        if self.is_complete:
            return run.seconds
        num_steps = None if settings.num_steps is None else settings.num_steps * self._ends_at
        seconds = None if settings.max_seconds is None else settings.max_seconds * self._ends_at
        return expected_seconds(num_steps, seconds, self.step_s, run.step, run.seconds)

    @property
    def remaining_s(self) -> float | None:
        """What is left of the expected seconds."""
        return None if self.expected_s is None else max(0.0, self.expected_s - self.run.seconds)

    @property
    def sample_s(self) -> float | None:
        """The seconds that training takes for a segment of one sample; None before the first."""
        sizes = [lane.batch_size for lane in self.run.lanes]
        return None if self.step_s is None else self.step_s * len(sizes) / sum(sizes)

    def end_within(self, seconds: float) -> None:
        """Set the budget of time; once the last phase has begun, it can only be shortened.

        Units: seconds of training, those that are over included.
        """
        seconds = max(seconds, MIN_SECONDS) / self._ends_at
        current = self.run.settings.max_seconds
        if _LAST_FROM in self.run.notes and current is not None:
            seconds = min(seconds, current)
        self.run.notes[_MAX_SECONDS] = seconds
        self._limit(seconds)

    def _limit(self, seconds: float | None) -> None:
        if seconds is not None:
            self.run.settings = replace(self.run.settings, max_seconds=seconds)

    def save(self) -> None:
        """Write the current checkpoint folder, and a snapshot to resume from."""
        self.run.documents = {**self._documents, self._record_name: self.record}
        started = time.monotonic()
        self.run.save()
        self._save_cost_s = self.run.ranks.agree(time.monotonic() - started)
        self._saved_at = self.run.seconds
        self.num_saves += 1

    def _save_when_due(self) -> None:
        due_s = max(self.run.settings.snapshot_s, SNAPSHOT_COST * self._save_cost_s)
        if not self.is_complete and self.run.seconds - self._saved_at >= due_s:
            self.save()

    @property
    def record(self) -> dict[str, Any]:
        """The origin and the progress of the adaptation, as JSON values."""
        return {
            **self._made_from,
            "precision": self.run.arithmetic.precision,
            "threads": self.run.num_threads,
            "steps": self.run.step,
            "seconds": round(self.run.seconds, 3),
            "held_out_share": self.held_out_share,
            "held_out_by_puzzle": dict(self.run.notes.get(_BY_PUZZLE, {})),
            "learned_share": self.learned_share,
            "checks": [check._asdict() for check in self.checks],
            "stopped_early": self.stopped_early,
            "ended_by": self.ending,
            "complete": self.is_complete,
        }

    @property
    def _ends_at(self) -> float:
        last_from = self.run.notes.get(_LAST_FROM)
        if last_from is None:
            return 1.0
        return min(1.0, float(last_from) / (1.0 - LAST_SHARE))

    def _enter_last_when_due(self) -> None:
        run = self.run
        if _LAST_FROM not in run.notes:
            ending = self._due_ending()
            if ending is None:
                return
            run.notes[_LAST_FROM], run.notes[_ENDING] = run.used_share, ending.value
        run.lanes.include_left_out()
        last_from = float(run.notes[_LAST_FROM])
        done = (run.used_share - last_from) / max(self._ends_at - last_from, 1e-9)
        if not self._tapers:
            return
        # Below 0 where the budget was extended after the last phase had begun.
        run.rate_factor = 1.0 - (1.0 - LAST_RATE) * min(1.0, max(0.0, done))

    def _due_ending(self) -> Ending | None:
        """Return why the last phase is due; None while it is not."""
        run, checks = self.run, self.checks
        if run.used_share >= 1.0 - LAST_SHARE:
            return Ending.BUDGET
        if not self._tapers:
            return None
        if has_learned(checks):
            return Ending.LEARNED
        # While only rows learn, a share that rests may rise once the trunk learns too.
        rows_only_share = run.settings.rows_only_share
        if has_stalled(checks, since=rows_only_share if rows_only_share < 1.0 else 0.0):
            return Ending.STALLED
        return None

    def _check_when_due(self) -> Generator[AdaptTurn, None, None]:
        run = self.run
        if _LAST_FROM in run.notes or not self._is_check_due:
            return
        # Stopping within a check would lose it, so its turns are not between two steps.
        held_out, learned = yield from run.timed(self._check())
        check = Check(run.step, round(run.used_share, 5), share_of(held_out), share_of(learned))
        run.notes.setdefault(_CHECKS, []).append(list(check))
        run.notes[_BY_PUZZLE] = shares_by_puzzle(self._held_out, held_out)
        run.notes[_NEXT_CHECK] = run.used_share + spacing_after(check)

    @property
    def _is_check_due(self) -> bool:
        run = self.run
        if not self._held_out and not self._practised:
            return False
        if run.used_share >= 1.0 - LAST_SHARE:  # the last one that says anything
            return True
        if run.used_share < run.notes.get(_NEXT_CHECK, FIRST_CHECK):
            return False
        num_steps = run.step - (self.checks[-1].step if self.checks else 0)
        return num_steps >= self._min_steps_between_checks

    @property
    def _check_cost(self) -> float:
        """What a check costs, in steps; counted, not measured, so that runs repeat to the bit."""
        batch_sizes = {lane.side: lane.batch_size for lane in self.run.lanes}
        num_segments = self.run.config.halt_max_steps
        return sum(
            len(one.indices) * num_segments / (STEP_COST * batch_sizes[one.arrays.canvas])
            for one in (*self._held_out, *self._practised)
        )

    def _check(self) -> Generator[None, None, tuple[list[bool], list[bool]]]:
        """Return what of the held-out examples is right, and what of those practised."""
        run = self.run
        network = copy.deepcopy(run.network)
        network.load_state_dict(run.learned_trunk)
        network.eval().requires_grad_(False)
        held_out = yield from right_in_segments(network, run.table, self._held_out, run.ranks)
        learned = yield from right_in_segments(network, run.table, self._practised, run.ranks)
        return held_out, learned
