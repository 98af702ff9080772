"""An adaptation that a worker leads: other workers of its host train along while they are idle."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import structlog

from hrm_core import (
    ONE_RANK,
    Adaptation,
    DeviceMemoryError,
    RankLostError,
    Ranks,
    join_group,
    release_memory,
    remove_snapshot,
)
from hrm_core.engine.memory import largest_divisor
from service.solving.records import read_adaptation
from service.worker.adaptation_task import (
    ENDING_ERRORS,
    AdaptationRun,
    AdaptationTask,
    SlicedTraining,
)
from service.worker.invitations import PostedInvitation

# Those that have accepted come within milliseconds, unless they have ended since.
MEET_S = 10.0
# How long a rank waits for the others in a step: they have the same work, on a device of the same
# kind, but may compile it.
EXCHANGE_S = 120.0
# How long the first worker that accepts is kept waiting for others, which look twice a second.
GATHER_S = 2.0
# A group that loses members time and again costs more than it brings.
MAX_LOSSES = 3

Prepare = Callable[[Ranks, int | None], Adaptation]


class LeadingRun(AdaptationRun):
    """The training of a task, with other workers as further ranks while they have nothing else.

    They join and leave between two steps, at a snapshot, which does not depend on their number.
    """

    def __init__(
        self,
        task: AdaptationTask,
        adaptation: Adaptation,
        lock: ExitStack,
        *,
        prepare: Prepare,
        invite: Callable[[], PostedInvitation | None],
        max_devices: int | None,
        device: str,
    ) -> None:
        """Lead the training of a task.

        `prepare` resumes the adaptation from its snapshot, with so many threads or as many as are
        configured; `invite` posts an invitation once it is time. `max_devices` None: all.
        """
        super().__init__(task, adaptation, lock)
        self._prepare, self._invite = prepare, invite
        self._max_devices, self._device = max_devices, device
        self._ranks = ONE_RANK
        # The invitation that stands, and that of the group which was formed.
        self._posted: PostedInvitation | None = None
        self._formed: PostedInvitation | None = None
        self._accepted_at: float | None = None
        self._num_threads = adaptation.run.num_threads
        self._num_former_saves = 0
        self._num_losses = 0
        self._failure: Exception | None = None
        self._is_over = False
        self._log: Any = structlog.get_logger(__name__)

    @property
    def wait_s(self) -> float:
        """How long a slice may wait for other workers, in seconds."""
        return EXCHANGE_S if self._ranks.size > 1 else 0.0

    @property
    def num_saves(self) -> int:
        """The number of snapshots of this run."""
        return self._num_former_saves + self.adaptation.num_saves

    def advance(self) -> bool:
        """Train one slice; return whether there is more to do."""
        if self._failure is not None:
            raise self._failure
        if self._is_over:
            return False
        try:
            has_more = super().advance()
            if not has_more:
                self._leave()
                self._withdraw()
            elif self.is_between_steps and not self.adaptation.is_complete:
                self._regroup()
        except RankLostError as error:
            return self._go_on_after(error)
        except DeviceMemoryError as error:
            if self._ranks.size == 1:
                raise
            return self._go_on_after(error)
        except ENDING_ERRORS:
            self._leave()
            self._withdraw()
            raise
        return has_more

    def part(self) -> None:
        """Train to the end of the step with the others, and let them go; go on alone from there."""
        if self._finish_together():
            try:
                self._go_on_alone("this worker has work")
            except ENDING_ERRORS as error:
                self._failure = error

    def suspend(self) -> None:
        """Train to the end of the step and save a snapshot; if that fails, the last one remains."""
        self._max_devices = 1  # no group is formed any more
        if self._finish_together():
            self._log.info("adaptation suspended", entry=self.task.id)
        else:
            super().suspend()

    def close(self) -> None:
        """Let the others go, if there are any, and release the lock."""
        self._finish_together()
        super().close()

    def _finish_together(self) -> bool:
        """Train to the end of the step with the others and save; return whether there were any.

        An error is kept for the next slice, where it ends the adaptation.
        """
        self._withdraw()
        if self._ranks.size == 1:
            return False
        try:
            # The others are in a step already, so this one takes it too.
            while super().advance() and not part_when_wanted(self, wants_to_leave=True):
                continue
        except (RankLostError, DeviceMemoryError) as error:
            self._note_loss(error)
        except ENDING_ERRORS as error:
            self._failure = error
        finally:
            self._leave()
        return self._failure is None

    def _regroup(self) -> None:
        """Between two steps: form a group, or part with it, where that is due."""
        size = self._due_size()
        if self._ranks.size == 1:
            if size > 1:
                self._form(size)
        elif part_when_wanted(self, wants_to_leave=size > self._ranks.size):
            self._accepted_at = None  # those of this group have time to accept again
            self._go_on_alone("the group changes")

    def _due_size(self) -> int:
        """Invite others when it is time; return with how many ranks to go on, if with more."""
        size, batch_size = self._ranks.size, self.adaptation.run.settings.batch_size
        limit = min(self._max_devices or batch_size, batch_size)
        if self._posted is None and size < limit and self._num_losses < MAX_LOSSES:
            self._posted, self._accepted_at = self._invite(), None
        num_accepted = 0 if self._posted is None else self._posted.num_accepted
        if num_accepted == 0:
            return size
        now = time.monotonic()
        self._accepted_at = self._accepted_at or now
        if size + num_accepted < limit and now - self._accepted_at < GATHER_S:
            return size
        return max(size, largest_divisor(batch_size, min(limit, size + num_accepted)))

    def _form(self, size: int) -> None:
        """Go on with others that have accepted, as so many ranks at the most."""
        if self._posted is None:
            return
        self.adaptation.save()
        taken = self._posted.take(size - 1)
        size = largest_divisor(self.adaptation.run.settings.batch_size, len(taken) + 1)
        self._formed, self._posted = self._posted, None
        if size == 1:
            self._leave()
            return
        store = self._formed.form(taken[: size - 1])
        ranks = join_group(store, 0, size, self._device, meet_s=MEET_S, timeout_s=EXCHANGE_S)
        self._go_on(ranks, "others are idle")

    def _go_on(self, ranks: Ranks, reason: str) -> None:
        """Continue from the snapshot with these ranks."""
        self._ranks = ranks
        self._num_former_saves = self.num_saves
        self.restart(self._prepare(ranks, share_threads(ranks, self._num_threads)))
        release_memory()
        self._log.info(
            "adaptation goes on",
            entry=self.task.id,
            devices=ranks.size,
            step=self.adaptation.run.step,
            reason=reason,
        )

    def _go_on_after(self, error: Exception) -> bool:
        self._note_loss(error)
        return self._go_on_alone("a device was lost")

    def _go_on_alone(self, reason: str) -> bool:
        """Continue from the last snapshot; return whether there is more to do."""
        self._leave()
        folder = self.adaptation.run.folder
        record = read_adaptation(folder)
        self._is_over = record is not None and record.complete
        if self._is_over:
            # If others were lost, then when all was written.
            remove_snapshot(folder)
            return False
        self._go_on(ONE_RANK, reason)
        return True

    def _note_loss(self, error: Exception) -> None:
        self._num_losses += 1
        self._log.warning("adaptation lost a device", entry=self.task.id, reason=str(error))

    def _leave(self) -> None:
        """Leave the group, if there is one."""
        self._ranks.leave()
        self._ranks = ONE_RANK
        if self._formed is not None:
            self._formed.withdraw()
            self._formed = None

    def _withdraw(self) -> None:
        if self._posted is not None:
            self._posted.withdraw()
            self._posted = None


def share_threads(ranks: Ranks, num_threads: int | None) -> int | None:
    """Return the threads of each rank: the first one's number, divided among all."""
    return ranks.decide(lambda: None if num_threads is None else max(1, num_threads // ranks.size))


def part_when_wanted(training: SlicedTraining, *, wants_to_leave: bool) -> bool:
    """Return whether the ranks part because one wants to leave; then the state is saved.

    Every rank calls it after each slice: between two steps they exchange what they want.
    """
    adaptation = training.adaptation
    if not training.is_between_steps or adaptation.is_complete:
        return False
    if not adaptation.run.ranks.merge([wants_to_leave])[0]:
        return False
    adaptation.save()
    return True
