"""Slot allocation; no tensors."""

from collections.abc import Hashable, Sequence

from hrm_core.engine.samples import SampleFilter, any_sample
from hrm_core.engine.scheduler import Entry
from hrm_core.errors import EngineError


class SlotTable:
    """A fixed number of slots, each free or taken by one entry."""

    def __init__(self, num_slots: int) -> None:
        self._entries: list[Entry | None] = [None] * num_slots

    @property
    def num_taken(self) -> int:
        """Number of taken slots."""
        return len(self.taken())

    def taken(self) -> list[int]:
        """Return the taken slots, lowest first."""
        return [slot for slot, entry in enumerate(self._entries) if entry is not None]

    def free(self) -> list[int]:
        """Return the free slots, lowest first."""
        return [slot for slot, entry in enumerate(self._entries) if entry is None]

    def seat(self, entries: Sequence[Entry]) -> list[int]:
        """Assign each entry a free slot, of which there must be enough, and return the slots."""
        slots = self.free()[: len(entries)]
        for slot, entry in zip(slots, entries, strict=True):
            self._entries[slot] = entry
        return slots

    def release(self, slot: int) -> Entry:
        """Free a taken slot and return its entry.

        Raises: EngineError when the slot is free.
        """
        entry = self._entries[slot]
        if entry is None:
            raise EngineError(f"slot {slot} is already free")
        self._entries[slot] = None
        return entry

    def clear(self) -> list[Entry]:
        """Free every slot and return their entries, lowest slot first."""
        return [self.release(slot) for slot in self.taken()]

    def evict(self, job: Hashable, wanted: SampleFilter = any_sample) -> list[int]:
        """Free the slots of a job, or of its samples with a wanted id, and return them."""
        slots = [
            slot
            for slot, entry in enumerate(self._entries)
            if entry and entry.job == job and wanted(entry.sample.sample_id)
        ]
        for slot in slots:
            self.release(slot)
        return slots
