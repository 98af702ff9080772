"""How samples share the device: a fixed number of slots, and a step that is one segment."""

from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hrm_core.attention import Choice, choose
from hrm_core.attention.dense import sdpa
from hrm_core.carry import Carry, Run, run_segment
from hrm_core.checkpoint import Checkpoint
from hrm_core.errors import DeviceMemoryError, EngineError
from hrm_core.halting import Halting, HaltReason, HaltRule
from hrm_core.memory import count_fitting, guess_slots, is_out_of_memory, release_memory
from hrm_core.samples import Outcome, Sample
from hrm_core.scheduler import Priority, Scheduler
from hrm_core.slots import SlotTable


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """How an engine runs.

    `num_slots` None: as many as the device's free memory suggests, but no more than `max_slots`.
    `precision` None: the checkpoint's `forward_dtype`.
    """

    device: torch.device
    num_slots: int | None = None
    precision: str | None = None
    attention: str = "auto"
    compile: bool = False
    max_slots: int | None = None


class Engine:
    """Runs samples of many jobs through one network, whoever they belong to.

    A sample's answer depends on the sample, the checkpoint and the engine's configuration, not on
    its slot, its neighbours or its time of arrival.
    """

    def __init__(self, checkpoint: Checkpoint, config: EngineConfig) -> None:
        """Load the network and warm the step up; slots are halved while memory does not suffice.

        Raises: DeviceMemoryError when one slot does not fit; AttentionError for a backend that
        cannot serve; EngineError for an unknown precision.
        """
        self.checkpoint, self.config = checkpoint, config
        self.device = config.device
        self.precision = config.precision or checkpoint.config.forward_dtype
        if self.precision not in ("float32", "bfloat16", "float16"):
            raise EngineError(
                f"unknown precision {self.precision!r}: use float32, bfloat16 or float16"
            )
        dtype: torch.dtype = getattr(torch, self.precision)
        num_slots = config.num_slots
        if num_slots is None:
            num_slots = guess_slots(checkpoint.config, self.device, dtype)
            num_slots = min(num_slots, config.max_slots or num_slots)
        if num_slots < 1:
            raise EngineError(f"{num_slots} slots: at least one is needed")
        if self.device.type == "cpu":
            # A system grants more memory than it has and kills who uses it: no trying that out.
            most = max(1, count_fitting(checkpoint.config, self.device, dtype))
            while num_slots > most:
                num_slots //= 2
        self._network = checkpoint.load_network(sdpa, self.device, dtype)
        self._run: Run = (
            torch.compile(run_segment, dynamic=False) if config.compile else run_segment
        )
        while not self._fits(num_slots, dtype):
            if num_slots == 1:
                raise DeviceMemoryError(
                    f"{self.device} has no memory left for even one slot: free some, or use "
                    "--device cpu"
                )
            num_slots //= 2
        self.num_slots = num_slots
        self._slots = SlotTable(num_slots)
        self._scheduler = Scheduler()
        self.num_steps = 0

    @property
    def num_waiting(self) -> int:
        """Samples not seated yet."""
        return len(self._scheduler)

    @property
    def num_seated(self) -> int:
        """Samples in slots."""
        return self._slots.num_taken

    @property
    def is_idle(self) -> bool:
        """Nothing waits and nothing is seated."""
        return self.num_waiting == 0 and self.num_seated == 0

    def add(
        self,
        samples: Iterable[Sample],
        *,
        job: Hashable,
        halting: Halting = Halting.ACT,
        max_segments: int | None = None,
        priority: Priority = Priority.INTERACTIVE,
    ) -> None:
        """Queue samples of a job.

        Raises: EngineError for a sample of the wrong shape or tokens outside the vocabulary.
        """
        model = self.checkpoint.config
        max_segments = model.halt_max_steps if max_segments is None else max_segments
        if max_segments < 1:
            raise EngineError(f"{max_segments} segments: at least one is needed")
        checked = list(samples)
        for sample in checked:
            shapes = (sample.tokens.shape, sample.puzzle_row.shape)
            if shapes != ((model.seq_len,), (model.puzzle_emb_ndim,)):
                raise EngineError(
                    f"sample {sample.sample_id!r} has shapes {shapes}, the model wants "
                    f"({model.seq_len},) tokens and a row of ({model.puzzle_emb_ndim},)"
                )
            if sample.tokens.dtype.kind not in "iu":
                raise EngineError(
                    f"sample {sample.sample_id!r} has tokens of {sample.tokens.dtype}, not integers"
                )
            if sample.tokens.min() < 0 or sample.tokens.max() >= model.vocab_size:
                raise EngineError(
                    f"sample {sample.sample_id!r} has tokens outside 0..{model.vocab_size - 1}"
                )
        self._scheduler.add(job, checked, HaltRule(halting, max_segments), priority)

    def cancel(
        self, job: Hashable, wanted: Callable[[Hashable], bool] = lambda sample_id: True
    ) -> int:
        """Drop a job's samples, waiting and seated, or those whose id is wanted; gives how many."""
        return self._scheduler.cancel(job, wanted) + len(self._slots.evict(job, wanted))

    def step(self) -> list[Outcome]:
        """Seat who waits, run one segment for all slots, hand out who halted."""
        entries = self._scheduler.take(len(self._slots.free()))
        if entries:
            with torch.inference_mode():
                self._carry.seat(self._slots.seat(entries), entries)
        if self._slots.num_taken == 0:
            return []
        report, predictions = self._advance()
        self.num_steps += 1
        # The one device-to-host copy of a step in which nobody halts.
        flags = report.cpu().numpy()
        halted = [slot for slot in self._slots.taken() if flags[slot, 0]]
        if not halted:
            return []
        tokens = predictions[torch.tensor(halted, device=self.device)].cpu().numpy()
        tokens.setflags(write=False)
        return [self._finish(slot, tokens[i], flags[slot]) for i, slot in enumerate(halted)]

    def drain(self) -> Iterator[Outcome]:
        """Step until nothing is left, handing out outcomes as they come."""
        while not self.is_idle:
            yield from self.step()

    def _fits(self, num_slots: int, dtype: torch.dtype) -> bool:
        """Make the carry and run a step on blanks; False when the device's memory is too small.

        An uncompiled step on the CPU has nothing to warm up, and takes as long on blanks as not.
        """
        model = self.checkpoint.config
        shape = (num_slots, model.num_positions, model.num_heads, model.head_dim)
        try:
            self.attention: Choice = choose(self.config.attention, shape, self.device, dtype)
            self._network.attend = self.attention.attend
            self._carry = Carry.empty(self._network, num_slots, self.device)
            if self.device.type != "cpu" or self.config.compile:
                self._advance()
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
        else:
            return True
        self._carry = Carry.empty(self._network, 0, self.device)
        release_memory(self.device)
        return False

    def _advance(self) -> tuple[Tensor, Tensor]:
        with torch.inference_mode():
            return self._carry.advance(self._network, self._run)

    def _finish(
        self, slot: int, tokens: npt.NDArray[np.uint8], flags: npt.NDArray[np.float32]
    ) -> Outcome:
        entry = self._slots.release(slot)
        steps = int(flags[1])
        is_full = steps >= entry.rule.max_segments
        return Outcome(
            sample_id=entry.sample.sample_id,
            tokens=tokens,
            q_halt_logit=float(flags[2]),
            q_continue_logit=float(flags[3]),
            steps=steps,
            halt_reason=HaltReason.MAX_SEGMENTS if is_full else HaltReason.Q_HALT,
        )
