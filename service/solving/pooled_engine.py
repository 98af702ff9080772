"""An engine over several devices: samples are shared out to processes with an engine each."""

import os
import subprocess
import sys
import weakref
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import count, groupby
from multiprocessing.connection import Pipe, wait
from types import SimpleNamespace
from typing import Any

from hrm_core import (
    Checkpoint,
    Engine,
    EngineError,
    Entry,
    Halting,
    HaltRule,
    Outcome,
    Priority,
    Sample,
    SampleFilter,
    Scheduler,
    any_sample,
)
from service.runtime.devices import EngineOptions, isolate
from service.runtime.tether import kill_tethered, start_tethered
from service.solving.engine_messages import (
    Batch,
    Drop,
    Failed,
    MakeEngine,
    Opening,
    Ready,
    Start,
    Stepped,
)

PROGRAM = (sys.executable, "-P", "-m", "service.solving.engine_process")
# Samples that a process has, in units of its slots: as many wait as are seated, so that no slot
# stays empty until the pool has heard of an outcome.
MAX_LOAD = 2.0
# A step of the pool ends after so long without an outcome, for those who look at clocks or signals.
STEP_S = 0.5
END_TIMEOUT_S = 10.0


class EngineProcess:
    """A process with an engine on one device, and the samples that it has.

    `num_slots` and `slots_by_size` are what its engine last reported.
    """

    def __init__(self, device: str) -> None:
        """Start the process, which waits for messages."""
        self.device = device
        self._seen, variables = isolate(device, os.environ)
        environment = {**os.environ, **variables}
        if device.startswith("cpu"):
            environment.setdefault("OMP_NUM_THREADS", "1")
        self.connection, theirs = Pipe()
        with theirs:
            command = [*PROGRAM, str(theirs.fileno())]
            self._process = start_tethered(
                command, environment=environment, pass_fds=(theirs.fileno(),)
            )
        self.entries: dict[int, Entry] = {}
        self.num_slots, self.slots_by_size = 1, {0: 1}
        self._num_of_size: Counter[int] = Counter()

    @property
    def process_id(self) -> int:
        """The id of the process."""
        return self._process.pid

    def load(self, size: int) -> float:
        """Return how many samples of a size it has, in units of its slots for them.

        A size that it has had no samples of yet has as many slots as the one with the fewest.
        """
        slots = self.slots_by_size.get(size) or min(self.slots_by_size.values())
        return self._num_of_size[size] / slots

    def put(self, sample_id: int, entry: Entry) -> None:
        """Note that it is to have a sample."""
        self.entries[sample_id] = entry
        self._num_of_size[len(entry.sample.tokens)] += 1

    def pop(self, sample_id: int) -> Entry | None:
        """Note that it has a sample no longer; return None if it had none with this id."""
        entry = self.entries.pop(sample_id, None)
        if entry is not None:
            self._num_of_size[len(entry.sample.tokens)] -= 1
        return entry

    def open(self, opening: Opening) -> None:
        """Let it load the checkpoint's network."""
        with suppress(OSError):  # `ready` says why
            self.connection.send(opening)

    def start(self, start: Start) -> None:
        """Let it make the engine."""
        options = replace(start.options, device=self._seen)
        with suppress(OSError):
            self.connection.send(replace(start, options=options))

    def ready(self) -> Ready:
        """Wait until the engine is made.

        Raises: EngineError with the reason when it is not.
        """
        message = self.receive()
        if not isinstance(message, Ready):
            raise EngineError(f"no engine on {self.device}: {message}")
        self.num_slots, self.slots_by_size = message.num_slots, dict(message.slots_by_size)
        return message

    def receive(self) -> Any:
        """Return the next message; of a process that ends, the reason as a sentence."""
        try:
            message = self.connection.recv()
        except (EOFError, OSError):
            return f"its process ended {self._end()}"
        return message.reason if isinstance(message, Failed) else message

    def close(self) -> None:
        """End the process."""
        self.connection.close()
        self._process.terminate()
        self._end()

    def _end(self) -> str:
        """Wait for the end of a process that is ending, and describe it."""
        try:
            code = self._process.wait(END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            kill_tethered(self._process)
            code = self._process.wait()
        return f"with exit code {code}" if code >= 0 else f"by signal {-code}"


class PooledEngine(Engine):
    """Runs samples in several processes, each with an engine on a device of its own.

    Engines with equal options on equal devices give a sample the same answer, so it does not matter
    which one has it. Outcomes come in the order in which they arrive. A process that ends hands its
    samples to the others. Processes end with the pool, and with this process.
    """

    device: Any
    attention: Any

    def __init__(
        self,
        checkpoint: Checkpoint,
        devices: Sequence[str],
        options: EngineOptions,
        make_engine: MakeEngine,
        *,
        say: Callable[[str], None],
        warn: Callable[[str], None],
    ) -> None:
        """Start the processes, all at once, and wait until their engines are made.

        What the options leave open, the first engine chooses for all. `say` receives a sentence for
        each option that cannot be had as given, `warn` one for each process that is lost.

        Raises: EngineError when an engine cannot be made.
        """
        self.checkpoint, self.device, self.is_cold = checkpoint, ", ".join(devices), False
        self.num_steps = 0
        self._warn = warn
        self._queues: dict[int, Scheduler] = {}  # by the size of samples
        self._sample_ids = count()
        self._processes = [EngineProcess(device) for device in devices]
        self._close = weakref.finalize(self, _close_all, tuple(self._processes))
        try:
            self._start(options, make_engine, say)
        except BaseException:
            self._close()
            raise

    @property
    def process_ids(self) -> tuple[int, ...]:
        """The ids of the processes that run."""
        return tuple(process.process_id for process in self._processes)

    @property
    def num_waiting(self) -> int:
        """Samples that no process has yet."""
        return sum(len(queue) for queue in self._queues.values())

    @property
    def num_seated(self) -> int:
        """Samples that processes have."""
        return sum(len(process.entries) for process in self._processes)

    def add(
        self,
        samples: Iterable[Sample],
        *,
        job: Hashable,
        halting: Halting = Halting.ACT,
        max_segments: int | None = None,
        priority: Priority = Priority.INTERACTIVE,
    ) -> None:
        """Queue samples of a job, of any size."""
        if max_segments is None:
            max_segments = self.checkpoint.config.max_segments
        by_size: dict[int, list[Sample]] = {}
        for sample in samples:
            by_size.setdefault(len(sample.tokens), []).append(sample)
        for size, group in by_size.items():
            queue = self._queues.setdefault(size, Scheduler())
            queue.add(job, group, HaltRule(halting, max_segments), priority)
        self._share_out()

    def cancel(self, job: Hashable, wanted: SampleFilter = any_sample) -> int:
        """Drop a job's samples, or those with a wanted id; return how many were dropped."""
        num_dropped = sum(queue.cancel(job, wanted) for queue in self._queues.values())
        for process in self._processes:
            sample_ids = [
                sample_id
                for sample_id, entry in process.entries.items()
                if entry.job == job and wanted(entry.sample.sample_id)
            ]
            for sample_id in sample_ids:
                process.pop(sample_id)
            if sample_ids:
                with suppress(OSError):  # the next step finds that the process has ended
                    process.connection.send(Drop(frozenset(sample_ids)))
            num_dropped += len(sample_ids)
        return num_dropped

    def step(self) -> list[Outcome]:
        """Wait for outcomes, at most STEP_S, and return those that there are.

        Raises: EngineError when the last process has ended.
        """
        self._share_out()
        if self.is_idle:
            return []
        self.num_steps += 1
        by_connection = {process.connection: process for process in self._processes}
        outcomes: list[Outcome] = []
        for connection in wait(by_connection, STEP_S):
            process = by_connection[connection]  # type: ignore[index]
            while isinstance(message := process.receive(), Stepped):
                outcomes.extend(self._take(process, message))
                if not process.connection.poll():
                    break
            else:
                self._lose(process, message)
        self._share_out()
        return outcomes

    def log_likelihoods(self, *arrays: Any) -> Any:
        """Raise EngineError: likelihoods are computed on one device."""
        raise EngineError(f"this runs on one device, not on {self.device}: name one with --device")

    def warm_up(self) -> None:
        """Do nothing: the engines of the processes are warm, or see to it."""

    def _start(
        self, options: EngineOptions, make_engine: MakeEngine, say: Callable[[str], None]
    ) -> None:
        checkpoint = self.checkpoint
        opening = Opening(
            checkpoint.folder, checkpoint.config.canvas, checkpoint.sha256, make_engine
        )
        for process in self._processes:
            process.open(opening)
        first, *others = self._processes
        first.start(Start(options))
        ready = first.ready()
        for process in others:
            process.start(Start(options.fill(ready.options), ready.arithmetic))
        said = [*ready.said, *(one for process in others for one in process.ready().said)]
        for sentence in dict.fromkeys(said):
            say(sentence)
        self.config, self.arithmetic = ready.config, ready.arithmetic
        self.attention = SimpleNamespace(name=ready.attention)
        self.num_threads, self.num_slots = ready.num_threads, ready.num_slots

    def _share_out(self) -> None:
        """Send waiting samples to the processes with room, the least loaded first."""
        sent: dict[EngineProcess, list[tuple[int, Entry]]] = {}
        for size, queue in self._queues.items():
            while True:
                process = min(self._processes, key=lambda process: process.load(size))
                entries = queue.take(1) if process.load(size) < MAX_LOAD else []
                if not entries:
                    break
                sample_id = next(self._sample_ids)
                process.put(sample_id, entries[0])
                sent.setdefault(process, []).append((sample_id, entries[0]))
        for process, numbered in sent.items():
            for batch in _batches(numbered):
                with suppress(OSError):  # the next step finds that the process has ended
                    process.connection.send(batch)

    def _take(self, process: EngineProcess, message: Stepped) -> Iterator[Outcome]:
        process.num_slots = message.num_slots
        process.slots_by_size.update(message.slots_by_size)
        self.num_slots = max(process.num_slots for process in self._processes)
        for outcome in message.outcomes:
            entry = process.pop(outcome.sample_id)
            if entry is not None:  # otherwise it was cancelled
                yield outcome._replace(job=entry.job, sample_id=entry.sample.sample_id)

    def _lose(self, process: EngineProcess, reason: str) -> None:
        """Continue without a process; its samples wait again, ahead of the others."""
        self._processes.remove(process)
        process.close()
        entries = list(process.entries.values())
        for size, queue in self._queues.items():
            queue.put_back([entry for entry in entries if len(entry.sample.tokens) == size])
        if not self._processes:
            raise EngineError(f"no device is left, the last one was {process.device}: {reason}")
        self._warn(
            f"{process.device} is left out ({reason.rstrip('.')}): the other processes take over "
            f"its {len(entries)} samples"
        )


def _batches(numbered: Iterable[tuple[int, Entry]]) -> Iterator[Batch]:
    for rule, group in groupby(numbered, key=lambda pair: pair[1].rule):
        samples = (replace(entry.sample, sample_id=sample_id) for sample_id, entry in group)
        yield Batch(rule, tuple(samples))


def _close_all(processes: Iterable[EngineProcess]) -> None:
    for process in processes:
        process.close()
