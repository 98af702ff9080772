"""A worker's device as adaptations are trained on it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from augment import Puzzle
from hrm_core import ONE_RANK, Adaptation, Checkpoint, Ranks, can_compile, pick_device
from service.adaptation.cache import AdaptedCache
from service.adaptation.prepare import AdaptOptions, prepare_adaptation
from service.solving.records import Budget


@dataclass(frozen=True, slots=True)
class AdaptationPlan:
    """What a worker needs to train the adaptation of a cache entry, beside base and puzzles."""

    entry_id: str
    base_name: str
    base_sha256: str
    owner: str
    options: AdaptOptions
    budget_each: Budget


class TrainingDevice:
    """Prepares adaptations in the folders of a cache, on one device."""

    def __init__(
        self,
        cache: AdaptedCache,
        name: str,
        *,
        num_threads: int | None = None,
        compiles: bool = False,
        tuned_folder: Path | None = None,
    ) -> None:
        self._cache, self.name = cache, name
        self.kind = pick_device(name).type
        self.compiles = compiles and can_compile(pick_device(name))
        self._num_threads, self._tuned_folder = num_threads, tuned_folder

    def prepare(
        self,
        plan: AdaptationPlan,
        base: Checkpoint,
        puzzles: Sequence[Puzzle],
        *,
        ranks: Ranks = ONE_RANK,
        num_threads: int | None = None,
    ) -> Adaptation:
        """Prepare an adaptation, or resume it, as one of some ranks.

        Where no number of threads is configured, it has `num_threads`.

        Raises: as `prepare_adaptation`.
        """
        return prepare_adaptation(
            base,
            base.config,
            puzzles,
            self._cache.folder(plan.entry_id),
            plan.options,
            device=self.name,
            compile_step=None if self.compiles else False,
            num_threads=self._num_threads or num_threads,
            owner=plan.owner,
            budget_each=plan.budget_each,
            tuned_folder=self._tuned_folder,
            ranks=ranks,
        )
