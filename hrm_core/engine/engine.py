"""The engine: samples of all jobs share a fixed number of slots, and a step is one segment."""

from collections.abc import Hashable, Iterable, Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch

from hrm_core.checkpoint.folder import Checkpoint
from hrm_core.device.arithmetic import choose_arithmetic
from hrm_core.device.device import compiled, pick_threads, use_threads
from hrm_core.device.measured import MeasuredChoices, read_tuned, tuned_path
from hrm_core.engine.carry import CapturedRun, Carry, Run, SegmentOutput, run_segment
from hrm_core.engine.likelihood import batched_log_likelihoods
from hrm_core.engine.memory import is_out_of_memory, needs_memory, release_memory
from hrm_core.engine.scheduler import (
    Halting,
    HaltRule,
    Outcome,
    Priority,
    Sample,
    SampleFilter,
    Scheduler,
    SlotTable,
    any_sample,
)
from hrm_core.engine.sizing import EngineConfig, pick_slots
from hrm_core.errors import DeviceMemoryError, EngineError
from hrm_core.model.attention import sdpa
from hrm_core.model.attention_choice import Choice, choose
from hrm_core.model.fused_blocks import can_fuse, fuse
from hrm_core.model.network import Network


class Engine:
    """Runs the samples of many jobs through one network.

    A sample's answer depends on the sample, the checkpoint and the engine's configuration, not on
    its slot, its neighbours or its time of arrival.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        config: EngineConfig,
        *,
        num_cells: int | None = None,
        network: Network | None = None,
    ) -> None:
        """Load the network and warm the step up; slots are halved while memory does not suffice.

        `num_cells` is the S of all samples, None for the whole canvas; `network` is one that is
        loaded already, of another engine with the same configuration.

        Raises: DeviceMemoryError when one slot does not fit; AttentionError for a backend that
        cannot serve; EngineError for an unknown precision.
        """
        self.checkpoint, self.config, self.device = checkpoint, config, config.device
        whole = checkpoint.config
        self._model = whole if num_cells is None else replace(whole, seq_len=num_cells)
        self._measured = MeasuredChoices(config.tuned_folder)
        self.arithmetic = config.arithmetic or choose_arithmetic(
            config.precision, whole, self.device, self._measured
        )
        record = config.tuned_folder and tuned_path(config.tuned_folder, self.device, whole)
        self._tuned = read_tuned(record, self.precision) if record else None
        self._network = network or self._load_network()
        self._segment: Run = compiled(run_segment) if config.compile else run_segment
        self._run = self._segment
        self.num_slots = pick_slots(self._network, self._model, config, self._tuned, record)
        self._slots = SlotTable(self.num_slots)
        # The tokens after each segment so far, by slot, of seated samples that are traced.
        self._predictions: dict[int, list[npt.NDArray[np.uint8]]] = {}
        self._scheduler = Scheduler()
        self.num_steps = 0
        self.warm_up()

    @property
    def precision(self) -> str:
        """The precision it computes in."""
        return self.arithmetic.precision

    @property
    def slots_by_size(self) -> dict[int, int]:
        """The number of slots for samples of each size, in cells, that it is ready for."""
        return {self._model.seq_len: self.num_slots}

    @property
    def num_waiting(self) -> int:
        """Samples not seated yet."""
        return len(self._scheduler)

    @property
    def num_seated(self) -> int:
        """Samples in slots."""
        return self._slots.num_taken

    @property
    def seated_jobs(self) -> frozenset[Hashable]:
        """The jobs with samples in slots."""
        return self._slots.jobs

    @property
    def is_idle(self) -> bool:
        """Whether no sample waits or is seated."""
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
        model = self._model
        max_segments = model.max_segments if max_segments is None else max_segments
        if max_segments < 1:
            raise EngineError(f"{max_segments} segments: at least one is needed")
        checked = list(samples)
        for sample in checked:
            self._check(sample)
        self._scheduler.add(job, checked, HaltRule(halting, max_segments), priority)

    def cancel(self, job: Hashable, wanted: SampleFilter = any_sample) -> int:
        """Drop a job's samples, or those with a wanted id; return how many were dropped."""
        evicted = self._slots.evict(job, wanted)
        for slot in evicted:
            self._predictions.pop(slot, None)
        return self._scheduler.cancel(job, wanted) + len(evicted)

    def step(self) -> list[Outcome]:
        """Seat waiting samples, run one segment for all slots, return what halted.

        When the device's memory runs out, seated samples start over in half as many slots.

        Raises: DeviceMemoryError when it runs out with one slot.
        """
        if self.is_cold:
            self.warm_up()
        try:
            return self._step()
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            self._halve(error)
            return []

    def log_likelihoods(
        self,
        tokens: npt.NDArray[np.int32],
        rows: npt.NDArray[np.float32],
        labels: npt.NDArray[np.int32],
    ) -> npt.NDArray[np.float64]:
        """Return how likely known answers are after one segment, as mean log probabilities.

        Runs beside the slots, as many samples at a time as there are slots.

        Shapes: tokens, labels [N, S]; rows [N, n]; result [N].
        """
        self._prepare_network()
        return batched_log_likelihoods(
            self._network, tokens, rows, labels, self.num_slots, self.device
        )

    def warm_up(self) -> None:
        """Allocate the tensors of all slots and run a step on blanks; halve slots until they fit.

        Compiles the step where the configuration says so, which takes a minute.

        Raises: DeviceMemoryError when one slot does not fit; AttentionError.
        """
        while not self._allocate():
            self._halve(None)
        self._slots = SlotTable(self.num_slots)
        self.is_cold = False

    def _step(self) -> list[Outcome]:
        entries = self._scheduler.take(len(self._slots.free()))
        if entries:
            slots = self._slots.seat(entries)
            traced = (s for s, entry in zip(slots, entries, strict=True) if entry.sample.is_traced)
            self._predictions |= {slot: [] for slot in traced}
            with torch.inference_mode():
                self._carry.seat(slots, entries)
        if self._slots.num_taken == 0:
            return []
        output = self._advance()
        self.num_steps += 1
        # The only device-to-host copy of a step in which no sample halts or is traced.
        flags = output.report.cpu().numpy()
        halted = [slot for slot in self._slots.taken() if flags[slot, 0]]
        wanted = sorted({*halted, *self._predictions})
        if not wanted:
            return []
        tokens = output.predictions[torch.tensor(wanted, device=self.device)].cpu().numpy()
        tokens.setflags(write=False)
        by_slot = dict(zip(wanted, tokens, strict=True))
        for slot, predictions in self._predictions.items():
            predictions.append(by_slot[slot])
        return [self._finish(slot, by_slot[slot], flags[slot]) for slot in halted]

    def drain(self) -> Iterator[Outcome]:
        """Step until no sample is left, yielding outcomes as they come."""
        while not self.is_idle:
            yield from self.step()

    def _check(self, sample: Sample) -> None:
        model, name = self._model, f"sample {sample.sample_id!r}"
        shapes = (sample.tokens.shape, sample.puzzle_row.shape)
        if shapes != ((model.seq_len,), (model.puzzle_emb_ndim,)):
            raise EngineError(
                f"{name} has shapes {shapes}, the model expects ({model.seq_len},) tokens and a "
                f"row of ({model.puzzle_emb_ndim},)"
            )
        if sample.tokens.dtype.kind not in "iu":
            raise EngineError(f"{name} has tokens of {sample.tokens.dtype}, not integers")
        if sample.tokens.min() < 0 or sample.tokens.max() >= model.vocab_size:
            raise EngineError(f"{name} has tokens outside 0..{model.vocab_size - 1}")

    def _load_network(self) -> Network:
        with needs_memory(self.device, "the network"):
            network = self.arithmetic.load(self.checkpoint, sdpa, self.device)
        if self._tuned:
            fuse(network, [name for name in self._tuned.kernels if can_fuse(network, name)])
        return network

    def _allocate(self) -> bool:
        """Allocate the slots and run a step on blanks; return whether the memory sufficed.

        An uncompiled step on the CPU has nothing to warm up, and takes as long on blanks as not.
        """
        model = self._model
        work = self.num_slots * model.num_positions * self.checkpoint.num_parameters
        self.num_threads = pick_threads(self.device, work, self.config.num_threads)
        shape = (self.num_slots, model.num_positions, model.num_heads, model.head_dim)
        try:
            self.attention: Choice = choose(
                self.config.attention,
                shape,
                self.device,
                self.arithmetic.attention_dtype,
                measured=self._measured,
            )
            self._carry = Carry(self._network, self.num_slots, self.device, model.seq_len)
            if self._tuned and self._tuned.is_captured:
                self._run = CapturedRun(self._segment)  # of this number of slots
            if self.device.type != "cpu" or self.config.compile:
                self._advance()
        except RuntimeError as error:
            if is_out_of_memory(error):
                return False  # out of the handler: it would keep the tensors referenced
            raise
        return True

    def _halve(self, error: RuntimeError | None) -> None:
        """Continue with half the slots; seated samples wait again."""
        self._scheduler.put_back(self._slots.clear())
        self._predictions.clear()
        self._carry = Carry(self._network, 0, self.device)
        release_memory(self.device)
        self.is_cold = True
        if self.num_slots == 1:
            raise DeviceMemoryError(
                f"{self.device} has no memory left for even one slot: free some, or use "
                "--device cpu"
            ) from error
        self.num_slots //= 2

    def _prepare_network(self) -> None:
        use_threads(self.num_threads)
        self._network.attend = self.attention.attend  # engines of other sizes share the network

    def _advance(self) -> SegmentOutput:
        self._prepare_network()
        with torch.inference_mode():
            return self._carry.advance(self._network, self._run)

    def _finish(
        self, slot: int, tokens: npt.NDArray[np.uint8], flags: npt.NDArray[np.float32]
    ) -> Outcome:
        entry = self._slots.release(slot)
        predictions = self._predictions.pop(slot, None)
        return Outcome(
            job=entry.job,
            sample_id=entry.sample.sample_id,
            tokens=tokens,
            q_halt_logit=float(flags[2]),
            q_continue_logit=float(flags[3]),
            steps=int(flags[1]),
            predictions=None if predictions is None else np.stack(predictions),
        )
