"""What the workers of a host do for each other's adaptations while they have nothing else to do."""

import math
import os
import secrets
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import structlog

from hrm_core import (
    ONE_RANK,
    Adaptation,
    Checkpoint,
    Ranks,
    join_group,
    release_memory,
)
from service.adaptation.cache import AdaptedCache
from service.worker.adaptation_queue import puzzles_of
from service.worker.adaptation_task import (
    ENDING_ERRORS,
    AdaptationRun,
    AdaptationTask,
    SlicedTraining,
)
from service.worker.engine_pool import EnginePool
from service.worker.heartbeat import Watchdog
from service.worker.invitations import (
    Acceptance,
    Invitation,
    Place,
    PostedInvitation,
    is_abandoned,
    remove,
    standing,
)
from service.worker.joint_adaptation import (
    EXCHANGE_S,
    MEET_S,
    LeadingRun,
    part_when_wanted,
    share_threads,
)
from service.worker.training_device import AdaptationPlan, TrainingDevice

# So long a worker has had no other work before it shares devices: to form a group and to part takes
# a snapshot and its loading.
QUIET_S = 5.0
# How often an idle worker looks for invitations, and whether those that it accepted are over.
LOOK_EVERY_S = 0.5
# How often it looks whether it is wanted now.
AWAIT_EVERY_S = 0.05


class DeviceSharing:
    """A worker's part in adaptations that several workers of its host train together.

    `max_devices` is the most for one adaptation, None for all; with 1 nothing is shared. Not for
    several threads.
    """

    def __init__(
        self,
        cache: AdaptedCache,
        pool: EnginePool,
        device: TrainingDevice,
        max_devices: int | None,
    ) -> None:
        self._cache, self._pool = cache, pool
        self._device, self._max_devices = device, max_devices
        self._is_enabled = max_devices != 1
        self._id = f"{os.getpid()}-{secrets.token_hex(4)}"
        self._busy_at = -math.inf
        self._looked_at = 0.0
        self._acceptance: Acceptance | None = None
        # The training in another worker's group, and the folder of that.
        self._member: SlicedTraining | None = None
        self._group: Path | None = None
        self._log: Any = structlog.get_logger(__name__)

    @property
    def is_helping(self) -> bool:
        """Whether this worker trains an adaptation of another one now."""
        return self._member is not None

    @property
    def look_every_s(self) -> float | None:
        """How long an idle worker may wait for a command; None without an end."""
        if not self._is_enabled:
            return None
        return LOOK_EVERY_S if self._acceptance is None else AWAIT_EVERY_S

    def lead(
        self,
        task: AdaptationTask,
        adaptation: Adaptation,
        lock: ExitStack,
        plan: AdaptationPlan,
    ) -> AdaptationRun:
        """Return the run of an adaptation of this worker, in which others may train along."""
        if not self._is_enabled:
            return AdaptationRun(task, adaptation, lock)

        def prepare(ranks: Ranks, num_threads: int | None) -> Adaptation:
            return self._device.prepare(
                plan, task.base, task.puzzles, ranks=ranks, num_threads=num_threads
            )

        return LeadingRun(
            task,
            adaptation,
            lock,
            prepare=prepare,
            invite=lambda: self._post(plan),
            max_devices=self._max_devices,
            device=self._device.name,
        )

    def note_work(self) -> None:
        """Note that this worker has other work now."""
        self._busy_at = time.monotonic()

    def help(self, is_free_for: Callable[[str], bool], watchdog: Watchdog) -> None:
        """Look for an adaptation of another worker, or train a slice of it.

        `is_free_for` says whether this worker has nothing to do but wait for a cache entry. When
        that ends, the step at hand is trained to its end.
        """
        if not self._is_enabled:
            return
        if self._member is not None:
            self._train(is_free_for, watchdog)
        elif self._acceptance is not None:
            self._await_place(self._acceptance, is_free_for, watchdog)
        elif time.monotonic() - self._looked_at >= LOOK_EVERY_S and self._is_quiet:
            self._looked_at = time.monotonic()
            self._look(is_free_for)

    def leave(self) -> None:
        """Leave the group of another worker's adaptation after the step at hand."""
        if self._acceptance is not None:
            self._acceptance.withdraw()
            self._acceptance = None
        while self._member is not None:
            self._advance(wants_to_leave=True)

    @property
    def _is_quiet(self) -> bool:
        return time.monotonic() - self._busy_at >= QUIET_S

    @property
    def _board(self) -> Path:
        return self._cache.folder(".invitations")

    def _invitation(self, plan: AdaptationPlan) -> Invitation:
        return Invitation(socket.gethostname(), self._device.kind, plan)

    def _post(self, plan: AdaptationPlan) -> PostedInvitation | None:
        """Invite others, where this worker has had no other work for a while."""
        if not self._is_quiet:
            return None
        try:
            return PostedInvitation(self._board, self._invitation(plan))
        except OSError as error:
            self._log.warning("no invitation to adapt together", reason=str(error))
            self.note_work()  # try again later
            return None

    def _look(self, is_free_for: Callable[[str], bool]) -> None:
        """Accept the first invitation that this worker can follow."""
        for folder, invitation in standing(self._board):
            plan = invitation.plan
            if invitation != self._invitation(plan) or not is_free_for(plan.entry_id):
                continue
            if is_abandoned(folder):
                remove(folder)
            elif self._base(plan) is not None:
                try:
                    self._acceptance = Acceptance(folder, invitation, self._id)
                except OSError:
                    continue  # it was withdrawn
                return

    def _base(self, plan: AdaptationPlan) -> Checkpoint | None:
        try:
            base = self._pool.row_index(plan.base_name).checkpoint
        except ENDING_ERRORS:
            return None
        return base if base.sha256 == plan.base_sha256 else None

    def _await_place(
        self, acceptance: Acceptance, is_free_for: Callable[[str], bool], watchdog: Watchdog
    ) -> None:
        """Join the group once it is formed; change one's mind when there is other work."""
        place = acceptance.place()
        if place is not None:
            self._acceptance = None
            watchdog.pause()  # loading and compiling have no time limit
            self._join(acceptance.plan, place)
            watchdog.note_training(EXCHANGE_S)
            return
        is_wanted = is_free_for(acceptance.plan.entry_id) or not acceptance.withdraw()
        if is_wanted and time.monotonic() - self._looked_at >= LOOK_EVERY_S:
            self._looked_at = time.monotonic()
            is_wanted = acceptance.is_open
        if not is_wanted:
            self._acceptance = None

    def _join(self, plan: AdaptationPlan, place: Place) -> None:
        ranks = ONE_RANK
        try:
            base, entry = self._base(plan), self._cache.entry(plan.entry_id)
            puzzles = None if entry is None else puzzles_of(entry)
            if base is None or puzzles is None:
                # The others notice that this rank does not come.
                self._note_end("not joined: base or puzzles are gone")
                return
            ranks = join_group(
                place.store,
                place.rank,
                place.size,
                self._device.name,
                meet_s=MEET_S,
                timeout_s=EXCHANGE_S,
            )
            num_threads = share_threads(ranks, None)
            adaptation = self._device.prepare(
                plan, base, puzzles, ranks=ranks, num_threads=num_threads
            )
            self._member, self._group = SlicedTraining(adaptation), place.store.parent
            self._log.info("adaptation of another worker joined", entry=plan.entry_id)
        except ENDING_ERRORS as error:
            ranks.leave()
            self.note_work()  # not at once to the next group, which may fail too
            self._note_end(f"not joined: {error}")

    def _train(self, is_free_for: Callable[[str], bool], watchdog: Watchdog) -> None:
        """Train a slice, or to the end of the step and leave."""
        if self._member is not None and self._member.may_compile:
            watchdog.pause()
        else:
            watchdog.note_training(EXCHANGE_S)
        if self._member is not None and is_free_for(self._member.adaptation.run.folder.name):
            self._advance(wants_to_leave=False)
        else:
            self.leave()
        watchdog.note_training(EXCHANGE_S if self.is_helping else 0.0)

    def _advance(self, *, wants_to_leave: bool) -> None:
        """Train a slice; leave at the end, when a rank wants to, or when one is lost."""
        member = self._member
        if member is None:
            return
        try:
            if not member.advance():
                reason = "complete"
            elif part_when_wanted(member, wants_to_leave=wants_to_leave):
                reason = "the group changes"
            else:
                return
        except ENDING_ERRORS as error:
            reason = str(error)
            self.note_work()  # not at once to the next group, which may fail too
            if self._group is not None:
                remove(self._group)  # should the leader have ended
        member.adaptation.run.ranks.leave()
        self._member = member = None
        self._note_end(reason)

    def _note_end(self, reason: str) -> None:
        release_memory()
        self._log.info("adaptation of another worker left", reason=reason)
