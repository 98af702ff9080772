"""The choice of the checkpoints that vote on a job, among those that this worker serves."""

from collections.abc import Iterable, Mapping

from service.runtime.choice import Candidate, choose_checkpoint
from service.runtime.folders import default_checkpoint
from service.worker.engine_pool import ServedCheckpoint
from service.worker.job_table import SolveRequest


class CheckpointChooser:
    """Chooses checkpoints for jobs; `default` is the configured one, None for the usual one.

    `adapts`: whether this worker adapts checkpoints at all.
    """

    def __init__(
        self, served: Iterable[ServedCheckpoint], default: str | None, *, adapts: bool
    ) -> None:
        opened = tuple(served)
        self._candidates = tuple(Candidate.of(one.record) for one in opened)
        self._hashes: Mapping[str, frozenset[str]] = {
            one.record.name: frozenset(puzzle.demonstrations_sha256 for puzzle in one.puzzles)
            for one in opened
        }
        # In the order given: without an `arc1` the first of them is the default.
        self._default = default_checkpoint(default, [one.record.name for one in opened])
        self._adapts = adapts

    def choose(self, request: SolveRequest) -> str:
        """Return the checkpoint that answers a job which names none.

        Beside an ensemble that is the default one, whatever it knows; so it is where the configured
        one is not served here, and the job then fails.

        Raises: UnknownPuzzle; CanvasExceeded.
        """
        default, options = self._default, request.options
        if default is not None and (options.ensemble or default not in self._hashes):
            return default
        puzzle = request.task.puzzle
        digest = puzzle.demonstrations_hash
        known_to = [name for name, hashes in self._hashes.items() if digest in hashes]
        adapt = options.adapt if self._adapts else "never"
        choice = choose_checkpoint(puzzle, self._candidates, known_to, adapt=adapt, default=default)
        return choice.checkpoint
