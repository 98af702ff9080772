"""Ranks: processes that train together, each on its part of every batch.

Every rank draws the same batches and random numbers and takes the same optimiser steps, so all hold
the same weights. What depends on time, memory or signals is the first rank's to decide.
"""

import atexit
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor

from hrm_core.device.device import has_usable_gpu, pick_device
from hrm_core.engine.memory import is_out_of_memory, largest_divisor
from hrm_core.errors import RankLostError, TrainingError

# A file through which ranks of one host find each other; otherwise MASTER_ADDR and MASTER_PORT say
# where they meet.
STORE_VARIABLE = "RANK_STORE"
# How long a rank waits for another one: for a save, or while it compiles. A process that ends is
# noticed at once, by its closed connections and by what started the ranks.
TIMEOUT = timedelta(minutes=10)
# How long a store's file may be missing while ranks meet; those that gave up have removed it.
_REMOVED_STORE_TIMEOUT = timedelta(seconds=1)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Ranks:
    """The place of this process among those that train together; by default it is the only one."""

    rank: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this is the rank that decides, writes files and shows messages."""
        return self.rank == 0

    def count_parts(self, batch_size: int) -> int:
        """Return into how many equal parts a batch is divided: one for each rank, where possible.

        Ranks beyond that repeat the last part, and what they compute is not used.
        """
        return largest_divisor(batch_size, self.size)

    def part_of(self, batch_size: int) -> slice:
        """Return this rank's part of a batch."""
        num_parts = self.count_parts(batch_size)
        length = batch_size // num_parts
        start = min(self.rank, num_parts - 1) * length
        return slice(start, start + length)

    def decide(self, make: Callable[[], T]) -> T:
        """Return what the first rank makes."""
        if self.size == 1:
            return make()
        held = [make() if self.is_first else None]
        with self._connected():
            dist.broadcast_object_list(held, src=0)
        made: T = held[0]  # type: ignore[assignment]
        return made

    def agree(self, number: float) -> float:
        """Return the first rank's number, once it has one."""
        if self.size == 1:
            return number
        held = torch.tensor([number], dtype=torch.float64)
        with self._connected():
            dist.broadcast(held, src=0)
        return held.item()

    def check_same(self, what: str, value: object) -> None:
        """Check that a value is the first rank's.

        Raises: TrainingError.
        """
        if self.decide(lambda: value) != value:
            raise TrainingError(
                f"rank {self.rank} of {self.size} has other {what} than rank 0: give all ranks the "
                "same command, files and kind of device"
            )

    @contextmanager
    def sharing_memory_errors(self) -> Iterator[None]:
        """Raise a failed allocation in the block on every rank when one of them has it.

        Raises: RuntimeError that `is_out_of_memory` recognises.
        """
        try:
            yield
        except RuntimeError as error:
            if is_out_of_memory(error):
                self._any(True)
            raise
        if self._any(False):
            raise torch.OutOfMemoryError("another rank is out of memory")

    def merge(self, flags: Sequence[bool]) -> list[bool]:
        """Return for each of some flags whether it is set on any rank."""
        if self.size == 1:
            return list(flags)
        held = torch.tensor(flags, dtype=torch.uint8)
        with self._connected():
            dist.all_reduce(held, dist.ReduceOp.MAX)
        return held.bool().tolist()

    def join(self, tensors: Sequence[Tensor], batch_size: int) -> list[Tensor]:
        """Return tensors of whole batches from the ranks' parts of them, unchanged to the bit.

        Shapes: tensors [n, ...], with n of this rank's part.
        """
        if self.size == 1:
            return list(tensors)
        parts = [tensor.detach().flatten().view(torch.uint8) for tensor in tensors]
        packed = torch.cat(parts)
        received = [torch.empty_like(packed) for _ in range(self.size)]
        with self._connected():
            dist.all_gather(received, packed)
        used = received[: self.count_parts(batch_size)]
        lengths = [len(part) for part in parts]
        columns = zip(*(torch.split(one, lengths) for one in used), strict=True)
        return [
            torch.cat([part.clone().view(tensor.dtype).view(tensor.shape) for part in column])
            for tensor, column in zip(tensors, columns, strict=True)
        ]

    def sum_gradients_(self, params: Iterable[Tensor], batch_size: int) -> None:
        """Add up the gradients of all parts of a batch in their order, as slices add up.

        An all-reduce would add in an order of its own, which depends on backend, size and place.
        Here each rank receives a share of every rank's numbers, adds them up in the order of ranks
        and sends the sums to all: as much traffic, and the same bits everywhere.
        """
        grads = [param.grad for param in params if param.grad is not None]
        if self.size == 1 or not grads:
            return
        flat = torch.cat([grad.flatten() for grad in grads])
        lengths = [grad.numel() for grad in grads]
        flat = F.pad(flat, (0, -len(flat) % self.size))
        received = torch.empty_like(flat)
        with self._connected():
            dist.all_to_all_single(received, flat)
            total, *others = received.chunk(self.size)[: self.count_parts(batch_size)]
            for other in others:
                total += other
            dist.all_gather(list(flat.chunk(self.size)), total)
        for grad, summed in zip(grads, torch.split(flat[: sum(lengths)], lengths), strict=True):
            grad.copy_(summed.view_as(grad))

    def leave(self) -> None:
        """End the connection to the others; it may have ended already."""
        if dist.is_initialized():
            dist.destroy_process_group()

    def _any(self, flag: bool) -> bool:
        return self.merge([flag])[0]

    @contextmanager
    def _connected(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:
            if is_out_of_memory(error):
                raise
            # Without the place in the library's source, and its advice.
            reason = re.sub(r"^\[\S+\] ", "", str(error)).partition(". ")[0]
            raise RankLostError(
                f"rank {self.rank} of {self.size} lost its connection to another rank ({reason}). "
                "The same command continues from the last snapshot"
            ) from error


ONE_RANK = Ranks()


def has_ranks() -> bool:
    """Return whether this process was started as one of several ranks."""
    return int(os.environ.get("WORLD_SIZE") or 1) > 1


def join_ranks(device: str) -> tuple[Ranks, str]:
    """Join the ranks that the environment describes; return them, and this rank's own device.

    The variables are those of torchrun.

    Raises: EngineError when the device is not present; TrainingError when it is one for all, or
    the ranks do not find each other.
    """
    if not has_ranks():
        return ONE_RANK, device
    try:
        names = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
        rank, size, local_rank = (int(os.environ[name]) for name in names)
    except (KeyError, ValueError) as error:
        raise TrainingError(
            f"WORLD_SIZE is set, but not all of {', '.join(names)} are numbers: start every rank "
            "with torchrun or --devices, or unset WORLD_SIZE"
        ) from error
    if device.startswith("cuda:"):
        raise TrainingError(f"--device {device} is one device for all ranks: give --device cuda")
    uses_gpus = has_usable_gpu() if device == "auto" else device == "cuda"
    # Only a rank's own GPU becomes its current one: a context would take memory of every other one.
    own = f"cuda:{local_rank}" if uses_gpus else "cpu" if device == "auto" else device
    pick_device(own)
    store = os.environ.get(STORE_VARIABLE)
    try:
        _open_group(
            rank,
            size,
            uses_gpus=uses_gpus,
            init_method=f"file://{store}" if store else "env://",
            timeout=TIMEOUT,
        )
    except (RuntimeError, ValueError) as error:
        raise TrainingError(f"the {size} ranks do not find each other: {error}") from error
    ranks = Ranks(rank, size)
    if not uses_gpus:
        # A process that ends by an error may abort while threads of gloo run. NCCL waits for ranks
        # that may be gone.
        atexit.register(ranks.leave)
    return ranks, own


def join_group(
    store: Path, rank: int, size: int, device: str, *, meet_s: float, timeout_s: float
) -> Ranks:
    """Join processes of this host that train together for a while; each has its own device.

    `store` is a file that only they use, and that exists until all have left.

    Units: `meet_s`, how long to wait for the others to come, and `timeout_s`, for an exchange, in
    seconds.

    Raises: EngineError when the device is not present; RankLostError when the others do not come.
    """
    uses_gpu = pick_device(device).type == "cuda"
    stay_on_this_host(os.environ)
    try:
        # A store in a folder that is gone would block all threads of this process for minutes.
        store.touch()
        meeting = dist.FileStore(str(store), size)  # type: ignore[attr-defined]
        meeting.set_timeout(_REMOVED_STORE_TIMEOUT)
        # A rank that ended before it came is noticed here, after the shorter of the two times.
        meeting.set(f"here-{rank}", "")
        meeting.wait([f"here-{one}" for one in range(size)], timedelta(seconds=meet_s))
        meeting.set_timeout(timedelta(seconds=timeout_s))
        timeout = timedelta(seconds=timeout_s)
        _open_group(rank, size, uses_gpus=uses_gpu, store=meeting, timeout=timeout)
    except (OSError, RuntimeError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise RankLostError(f"the {size} ranks do not find each other: {reason}") from error
    return Ranks(rank, size)


def stay_on_this_host(environment: MutableMapping[str, str]) -> None:
    """Let ranks meet at an address that other hosts cannot reach, unless one is configured."""
    if sys.platform == "linux":
        environment.setdefault("GLOO_SOCKET_IFNAME", "lo")


def _open_group(rank: int, size: int, *, uses_gpus: bool, **options: Any) -> None:
    # Imported later, it holds references to the group, and then threads of that outlive `leave`.
    import torch._dynamo  # noqa: F401

    # Decisions are on the CPU: those need not wait for what a GPU still computes.
    backend = "cpu:gloo,cuda:nccl" if uses_gpus else "gloo"
    dist.init_process_group(backend, rank=rank, world_size=size, **options)
