"""The soak: load and blows for a time, then calm until every job has ended, then the audit."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from redis.exceptions import RedisError

from soak.audit import JobAudit, Line, line, logged_errors
from soak.chaos import Blow, Chaos
from soak.load import Load
from soak.processes import Watch
from soak.puzzles import known_questions, sudoku_question, write_checkpoints
from soak.stack import Stack
from soak.stored import StoreAudit

TICK_S = 0.1
# Calm without any change for so long: what is open then stays open.
STUCK_S = 240.0
POISON_MIN_S = 240.0
# From then on the API and a worker are spared, in soaks long enough to watch their memory.
SPARING_AFTER = 0.4
SPARING_MIN_S = 600.0
MIN_KILLS_A_MINUTE = 3.0


@dataclass(frozen=True, slots=True)
class Plan:
    """How long, how hard, and with which numbers.

    Units: duration_s in seconds; rate in actions a second; blows_a_minute counts kills, pauses and
    such; step_s, how long a step of the engine waits, in seconds.
    """

    duration_s: float
    seed: int
    rate: float = 3.0
    blows_a_minute: float = 6.0
    step_s: float = 0.03


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a soak is."""

    phase: str
    left_s: float
    num_kills: int
    num_jobs: int


class Soak:
    """A soak with its files in a folder; `say` shows a sentence, `show` how far it is."""

    def __init__(
        self,
        plan: Plan,
        folder: Path,
        say: Callable[[str], None],
        show: Callable[[Progress], None],
    ) -> None:
        self._plan, self._folder, self._say, self._show = plan, folder, say, show
        self._blows: list[tuple[float, Blow]] = []
        self._started_at = 0.0

    def run(self) -> list[Line]:
        """Run it all; return the lines of the audit."""
        self._say("training the checkpoints")
        checkpoints = write_checkpoints(self._folder)
        stack = Stack(self._folder, checkpoints, self._plan.step_s)
        try:
            stack.start()
            load = Load(stack.url, stack.server.url, self._plan.seed, self._plan.rate)
            load.start()
            load.ready.wait()
            self._say("every question was answered; the blows begin")
            chaos = Chaos(
                *(stack, load.ledger, known_questions()[2], random.Random(self._plan.seed + 1)),
                self._say_at,
            )
            watch = Watch(stack)
            self._disturb(stack, load, chaos, watch)
            is_calm = self._calm_down(stack, load, chaos)
            return self._audit(stack, load, chaos, watch, is_calm)
        finally:
            stack.close()

    def _disturb(self, stack: Stack, load: Load, chaos: Chaos, watch: Watch) -> None:
        plan, self._started_at = self._plan, time.monotonic()
        rng = random.Random(plan.seed + 2)
        end = self._started_at + plan.duration_s
        poison_at = self._started_at + plan.duration_s / 4
        next_blow = self._started_at + 3.0
        has_poison = plan.duration_s >= POISON_MIN_S
        while (now := time.monotonic()) < end and load.is_alive():
            if has_poison and now > poison_at:
                has_poison = False
                self._blows.append((now, chaos.poison()))
            if now >= next_blow:
                self._blows.append((now, chaos.next_blow()))
                next_blow = now + rng.uniform(0.4, 1.6) * 60 / plan.blows_a_minute
            is_long = plan.duration_s >= SPARING_MIN_S
            chaos.is_sparing = is_long and now > self._started_at + SPARING_AFTER * plan.duration_s
            self._tick(stack, load, chaos, "load", end - now)
            watch.measure_if_due()

    def _calm_down(self, stack: Stack, load: Load, chaos: Chaos) -> bool:
        """Let everything run until all jobs have ended; False where nothing changes any more."""
        load.stop()
        before, changed_at = "", time.monotonic()
        while time.monotonic() - changed_at < STUCK_S:
            self._tick(stack, load, chaos, "calm", STUCK_S - (time.monotonic() - changed_at))
            if self._blows:
                continue
            chaos.end()
            try:
                num_open = stack.redis.scard("{hrm-arc}:open")
                last = stack.redis.xrevrange("{hrm-arc}:events", count=1)
            except RedisError:
                continue
            if num_open == 0 and not load.is_alive() and stack.all_ready:
                return True
            if before != (now := f"{num_open} {last} {load.is_alive()}"):
                before, changed_at = now, time.monotonic()
            time.sleep(0.5)
        return False

    def _tick(self, stack: Stack, load: Load, chaos: Chaos, phase: str, left_s: float) -> None:
        """Go on with the blows under way, and keep the parts running."""
        now = time.monotonic()
        going, self._blows = self._blows, []
        for resume_at, blow in going:
            pause_s: float | None = resume_at - now
            if resume_at <= now:
                pause_s = next(blow, None)
            if pause_s is not None:
                self._blows.append((now + pause_s, blow))
        chaos.crashed(stack.keep_running(time.monotonic()))
        num_kills = sum(chaos.kills.values())
        self._show(Progress(phase, left_s, num_kills, load.ledger.num_jobs))
        time.sleep(TICK_S)

    def _audit(
        self, stack: Stack, load: Load, chaos: Chaos, watch: Watch, is_calm: bool
    ) -> list[Line]:
        self._say_at("the audit begins")
        faults = [] if is_calm else [f"nothing changed for {STUCK_S:.0f} s"]
        lines = [line("the service came to rest", faults)]
        error = [] if load.error is None else [repr(load.error)]
        lines.append(
            line("the load ran to its end", error, f"{load.ledger.actions.total()} actions")
        )
        num_kills = chaos.kills.total()
        wanted = int(MIN_KILLS_A_MINUTE * self._plan.duration_s / 60)
        killed = ", ".join(f"{number} {name}" for name, number in sorted(chaos.kills.items()))
        others = {kind: n for kind, n in sorted(chaos.blows.items()) if kind != "kill"}
        blows = ", ".join(f"{number} {kind}" for kind, number in others.items())
        few = [f"{num_kills} kills"] if num_kills < wanted else []
        lines.append(line("enough was killed", few, f"{num_kills} kills ({killed}); {blows}"))
        jobs = JobAudit(stack, load, chaos, (*known_questions(), sudoku_question()))
        jobs.read()
        lines += jobs.lines()
        lines += StoreAudit(stack, load.ledger).lines()
        lines.append(line("nothing unexpected was logged", logged_errors(stack)))
        lines.append(Line("memory and open files stay as they are", *watch.judge()))
        return lines

    def _say_at(self, sentence: str) -> None:
        self._say(f"{time.monotonic() - self._started_at:6.1f} s  {sentence}")
