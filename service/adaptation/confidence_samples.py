"""Samples for a calibration: attempts at demonstrations that an adaptation has not seen.

One demonstration of each puzzle is taken out of it, and the checkpoint is adapted to what is left
of all puzzles together. The held-out input is then solved by the vote, as a test input would be,
and an attempt counts as right when it equals the held-out output. Test inputs and test outputs have
no part in it: the puzzles that are adapted to do not contain them.

What the samples stand for, road by road:

* `adapted`: the adaptation is the usual one, so the votes are those of an answer by adapted rows,
  with one demonstration fewer to learn from. Two things differ. The puzzles share one trunk and one
  budget, where a service adapts to one alone. And of a puzzle that the checkpoint has rows for
  (`is_known`), the trunk has been trained on the held-out demonstration, under another row; puzzles
  that it does not know are the better ones to fit on.
* `trained`: rows and trunk were trained together, on all demonstrations, over hours; that cannot be
  repeated without one of them. The nearest is to leave the trunk as it is and train new rows only.
  The rows then get far less training, but the trunk knows the held-out demonstration. So these
  samples are of known puzzles, and stand for trained answers no better than these two errors,
  one in each direction, allow.

Votes are read at a third and two thirds of the budget and at its end, so that adaptations that are
not done, or did not take, are among the samples; each vote is counted as a whole and with a quarter
of its ballots.
"""

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

from augment import Grid, Pair, Puzzle
from hrm_core import Adaptation, Engine, Phase, open_checkpoint
from service.adaptation.confidence_fit import Sample, read_sample_file, write_samples
from service.adaptation.dataset import MAX_CHECKED_VARIANTS
from service.adaptation.prepare import AdaptOptions, prepare_adaptation
from service.runtime.devices import EngineOptions
from service.solving.confidence import Road, VoteSource, attempt_features
from service.solving.engines import make_engine
from service.solving.enrolment import RowIndex
from service.solving.members import Member
from service.solving.records import read_adaptation
from service.solving.solve import Solving, solve
from service.wire.errors import AdaptationError, InputError
from service.wire.options import SolveOptions
from voting import Q_ONE, GridVotes, Ranking, Tally, rank

# A puzzle keeps at least two demonstrations.
MIN_DEMONSTRATIONS: Final = 3
# Shares of the budget at which votes are read.
POINTS: Final = (1 / 3, 2 / 3, 1.0)
KEPT_SHARES: Final = (1.0, 0.25)
NUM_ATTEMPTS: Final = 2

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class ReducedPuzzle:
    """A puzzle without its last demonstration, which is its only test input.

    `is_known`: the checkpoint has rows for the whole puzzle.
    """

    puzzle: Puzzle
    expected: Grid
    is_known: bool


def reduce_puzzles(row_index: RowIndex, puzzles: Sequence[Puzzle]) -> tuple[ReducedPuzzle, ...]:
    """Take the last demonstration out of each puzzle that has three and fits the canvas.

    Puzzles that show its input in another demonstration too are left out.
    """
    reduced = []
    for puzzle in puzzles:
        *kept, last = puzzle.train
        if (
            len(puzzle.train) >= MIN_DEMONSTRATIONS
            and last.input not in [pair.input for pair in kept]
            and puzzle.fits(row_index.checkpoint.config.canvas)
        ):
            rest = Puzzle(puzzle.name, tuple(kept), (last.input,))
            reduced.append(ReducedPuzzle(rest, last.output, row_index.knows(puzzle)))
    return tuple(reduced)


class SampleCollection:
    """The samples of one road: an adaptation in a folder, read at several points.

    A collection that was stopped continues; points that were read are not read again.
    """

    def __init__(
        self,
        base: RowIndex,
        reduced: Sequence[ReducedPuzzle],
        road: Road,
        folder: Path,
        options: AdaptOptions,
        *,
        device: str,
        compiled: bool | None = None,
        num_threads: int | None = None,
        tuned_folder: Path | None = None,
        say: Say,
    ) -> None:
        """Choose the puzzles of the road.

        Raises: InputError where there are none.
        """
        self._reduced = [one for one in reduced if one.is_known or road == "adapted"]
        if not self._reduced:
            raise InputError(
                f"none of the puzzles can serve the road {road!r}: give some of at least "
                f"{MIN_DEMONSTRATIONS} demonstrations that fit the canvas"
                + (" and that the checkpoint has rows for" if road == "trained" else "")
            )
        self._base, self._road, self._folder, self._say = base, road, folder, say
        # Trained checkpoints hold nothing out, and their trunk is what it is.
        self._options = replace(options, rows_only=road == "trained", holds_out=road == "adapted")
        self._device, self._num_threads = device, num_threads
        self._compiled, self._tuned_folder = compiled, tuned_folder

    def collect(self, should_stop: Callable[[], bool] = lambda: False) -> bool:
        """Adapt and read the votes at each point; return whether the end was reached.

        Raises: AdaptationError for a folder with other content; HRMCoreError, ServiceError.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        due = [point for point in POINTS if not self._samples_path(point).exists()]
        if not self._is_adapted():
            adaptation = prepare_adaptation(
                self._base.checkpoint,
                self._base.checkpoint.config,
                [one.puzzle for one in self._reduced],
                self._adapted_folder,
                self._options,
                device=self._device,
                compile_step=self._compiled,
                num_threads=self._num_threads,
                tuned_folder=self._tuned_folder,
            )
            if not self._adapt(adaptation, due, should_stop):
                return False
        if POINTS[-1] in due:
            self._read_votes(POINTS[-1], self._last_shares())
        return True

    @property
    def _adapted_folder(self) -> Path:
        return self._folder / adapted_name(self._road)

    def _samples_path(self, point: float) -> Path:
        return self._folder / f"samples-{self._road}-{point:.2f}.jsonl"

    def _is_adapted(self) -> bool:
        """Return whether an earlier run has completed this adaptation.

        Raises: AdaptationError where it made another one.
        """
        record = read_adaptation(self._adapted_folder)
        if record is None:
            return False
        puzzles = {one.puzzle.name: one.puzzle.demonstrations_hash for one in self._reduced}
        is_same = (
            record.puzzles == puzzles
            and record.base_sha256 == self._base.checkpoint.sha256
            and record.variants == self._options.num_variants
            and record.budget.seconds == self._options.seconds
            and record.budget.steps == self._options.steps
        )
        if not is_same:
            raise AdaptationError(
                f"{self._adapted_folder} has other puzzles, variants or budget, or another "
                "checkpoint: give the same again, or another folder"
            )
        return record.complete

    def _adapt(
        self, adaptation: Adaptation, due: Sequence[float], should_stop: Callable[[], bool]
    ) -> bool:
        """Adapt, reading votes on the way, but not once the last phase has begun.

        In that phase the adaptation learns what it held out before, and only its end is of use.
        """
        left = [point for point in due if point < POINTS[-1]]
        for turn in adaptation.turns():
            if not turn.is_between_steps:
                continue
            if left and adaptation.run.used_share >= left[0]:
                point = left.pop(0)
                if adaptation.phase is not Phase.LAST:
                    adaptation.save()
                    self._read_votes(point, self._own_shares(adaptation))
            if should_stop() and not adaptation.is_complete:
                adaptation.save()
                return False
        return True

    def _read_votes(self, point: float, held_out_shares: Mapping[str, float]) -> None:
        """Solve the held-out inputs and write the samples of the attempts."""
        row_index, engine = self._open()
        whole = SolveOptions(stop_early=False, attempts=NUM_ATTEMPTS)
        tallies = _solve_all(engine, row_index, [one.puzzle for one in self._reduced], whole)
        samples = [
            sample
            for one, tally in zip(self._reduced, tallies, strict=True)
            for kept_share in KEPT_SHARES
            for sample in self._samples(
                one, tally, point, kept_share, held_out_shares.get(one.puzzle.name)
            )
        ]
        write_samples(self._samples_path(point), samples)
        first = [one for one in samples if one.rank == 1 and one.kept_share == 1.0]
        self._say(
            f"{self._road}, {point:.0%} of the budget: {sum(one.is_right for one in first)} of "
            f"{len(self._reduced)} held-out inputs right at the first attempt"
        )

    def _samples(
        self,
        reduced: ReducedPuzzle,
        tally: Tally,
        point: float,
        kept_share: float,
        held_out_share: float | None,
    ) -> list[Sample]:
        puzzle = reduced.puzzle
        if kept_share < 1.0:
            tally = thin_tally(tally, kept_share, zlib.crc32(puzzle.name.encode()))
        source = VoteSource(self._road, held_out_share)
        attempts = attempt_features(tally, Ranking.COUNT, puzzle.test[0], NUM_ATTEMPTS, source)
        return [
            Sample(
                checkpoint_sha256=self._base.checkpoint.sha256,
                puzzle=puzzle.name,
                road=self._road,
                point=round(point, 4),
                kept_share=kept_share,
                rank=number,
                is_known=reduced.is_known,
                features=features,
                is_right=one.grid == reduced.expected,
            )
            for number, (features, one) in enumerate(
                zip(attempts, rank(tally)[:NUM_ATTEMPTS], strict=True), start=1
            )
        ]

    def _own_shares(self, adaptation: Adaptation) -> dict[str, float]:
        """Return the held-out share of each puzzle that the adaptation holds something out of.

        As in an adaptation to one puzzle, it is that of a few of its variants.
        """
        indices: Mapping[str, int] = adaptation.record["held_out"]
        checked = [one.puzzle for one in self._reduced if one.puzzle.name in indices]
        if not checked:
            return {}
        pairs: list[Pair] = [one.train[indices[one.name]] for one in checked]
        row_index, engine = self._open()
        tallies = _solve_all(
            engine,
            row_index,
            [replace(one, test=(pair.input,)) for one, pair in zip(checked, pairs, strict=True)],
            SolveOptions(stop_early=False, variants=MAX_CHECKED_VARIANTS),
        )
        return {
            puzzle.name: _count_of(tally, pair.output) / tally.num_ballots
            for puzzle, pair, tally in zip(checked, pairs, tallies, strict=True)
        }

    def _last_shares(self) -> dict[str, float]:
        """Return the held-out shares of the last point before the last phase."""
        for point in reversed(POINTS[:-1]):
            path = self._samples_path(point)
            if path.exists():
                return {
                    sample.puzzle: sample.features.held_out_share
                    for sample in read_sample_file(path)
                    if sample.features.has_held_out
                }
        return {}

    def _open(self) -> tuple[RowIndex, Engine]:
        row_index = RowIndex(open_checkpoint(self._adapted_folder))
        options = EngineOptions(device=self._device, num_threads=self._num_threads)
        engine = make_engine(
            row_index.checkpoint, options, say=self._say, tuned_folder=self._tuned_folder
        )
        return row_index, engine


def adapted_name(road: Road) -> str:
    """Return the name of the folder of a road's adaptation."""
    return f"adapted-{road}"


def thin_tally(tally: Tally, kept_share: float, seed: int) -> Tally:
    """Draw a share of the ballots of a tally, at least one; each keeps its grid's mean q_halt."""
    if not tally.num_ballots:
        return tally
    counts = [*(entry.count for entry in tally.entries), tally.abstained]
    num_kept = max(1, round(kept_share * tally.num_ballots))
    drawn = np.random.default_rng(seed).multivariate_hypergeometric(counts, num_kept).tolist()
    kept = [
        GridVotes(entry.grid, count, round(entry.mean_q_halt * count * Q_ONE))
        for entry, count in zip(tally.entries, drawn[:-1], strict=True)
        if count
    ]
    return Tally.of(kept, drawn[-1])


def _solve_all(
    engine: Engine, row_index: RowIndex, puzzles: Sequence[Puzzle], options: SolveOptions
) -> list[Tally]:
    """Return the votes on each puzzle's only test input; puzzles of one size are solved at once."""
    by_side: dict[int, list[Solving]] = {}
    solvings = []
    for puzzle in puzzles:
        member = Member.find(row_index, puzzle)
        solvings.append(Solving(puzzle, [member], options))
        by_side.setdefault(member.crop.size, []).append(solvings[-1])
    for _, group in sorted(by_side.items()):
        solve([engine], group)
    return [solving.tallies[0] for solving in solvings]


def _count_of(tally: Tally, grid: Grid) -> int:
    return next((entry.count for entry in tally.entries if entry.grid == grid), 0)
