"""Preparation of an adaptation: test-time training of a checkpoint on puzzles, in a folder."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from augment import Puzzle, text_from_path
from hrm_core import (
    ONE_RANK,
    Adaptation,
    Checkpoint,
    ModelConfig,
    Pretraining,
    Ranks,
    TrainSettings,
    can_compile,
    pick_device,
    start_from,
)
from service.adaptation.dataset import HeldOut, build_dataset, hold_out
from service.runtime.key_ring import LOCAL_OWNER
from service.solving.confidence import CONFIDENCE_NAME
from service.solving.enrolment import RowIndex, check_arc
from service.solving.records import (
    ADAPTATION_NAME,
    PUZZLES_NAME,
    Budget,
    index_document,
    read_adaptation,
    write_adaptation,
)
from service.wire.errors import AdaptationError

# For each size of puzzles: each is compiled by itself, with and without the trunk.
COMPILED_FROM_S = 300.0
COMPILED_FROM_STEPS = 300


@dataclass(frozen=True, slots=True)
class AdaptOptions:
    """The options of an adaptation: the budget, whichever limit comes first, and the recipe.

    `batch_tokens` are the positions in a batch, for a network with crop. `rows_only`: the trunk is
    not changed; else it is, after the first `rows_only_share` of the budget. `holds_out`: whether
    demonstrations are held out for checks. `tapers`: whether rates fall at the end, early once what
    is checked stays right. Cycles and segments None are those of the base. `recipe` is the name of
    the recipe that these are of, where one was named.

    Units: seconds, snapshot_s in seconds.
    """

    seconds: float | None = None
    steps: int | None = None
    num_variants: int = 64
    batch_size: int = 96
    batch_tokens: int = TrainSettings(num_steps=None).batch_tokens
    slice_size: int | None = None
    lr: float = 1e-3
    row_lr: float = 1e-2
    warmup_steps: int = 20
    warmup_share: float | None = None
    ema_decay: float = 0.999
    rows_only: bool = False
    rows_only_share: float = 0.25
    holds_out: bool = True
    tapers: bool = True
    h_cycles: int | None = None
    l_cycles: int | None = None
    halt_max_steps: int | None = None
    translate: bool = False
    seed: int = 0
    snapshot_s: float = 20.0
    recipe: str | None = None

    def train_settings(self) -> TrainSettings:
        """Return the training settings.

        Source: arXiv 2511.02886 (only rows for a quarter, average).
        """
        return TrainSettings(
            num_steps=self.steps,
            max_seconds=self.seconds,
            rows_only_share=1.0 if self.rows_only else self.rows_only_share,
            batch_size=self.batch_size,
            batch_tokens=self.batch_tokens,
            slice_size=self.slice_size,
            lr=self.lr,
            row_lr=self.row_lr,
            warmup_steps=self.warmup_steps,
            warmup_share=self.warmup_share,
            ema_decay=self.ema_decay,
            translate=self.translate,
            learns_continue=False,
            seed=self.seed,
            snapshot_s=self.snapshot_s,
            log_every=5,
        )

    def configure(self, base: ModelConfig) -> ModelConfig:
        """Return the configuration of the adapted network."""
        return replace(
            base,
            H_cycles=self.h_cycles or base.H_cycles,
            L_cycles=self.l_cycles or base.L_cycles,
            halt_max_steps=self.halt_max_steps or base.halt_max_steps,
        )


def is_worth_compiling(options: AdaptOptions, num_sizes: int) -> bool:
    """Return whether a budget is long enough to earn back the minute that each size takes."""
    is_long = options.seconds is None or options.seconds >= COMPILED_FROM_S * num_sizes
    return is_long and (options.steps is None or options.steps >= COMPILED_FROM_STEPS * num_sizes)


def prepare_adaptation(
    base: Checkpoint | None,
    config: ModelConfig,
    puzzles: Sequence[Puzzle],
    folder: Path,
    options: AdaptOptions,
    *,
    device: str,
    compile_step: bool | None = None,
    num_threads: int | None = None,
    owner: str = LOCAL_OWNER,
    budget_each: Budget | None = None,
    tuned_folder: Path | None = None,
    ranks: Ranks = ONE_RANK,
) -> Adaptation:
    """Prepare an adaptation to puzzles in a folder, or resume the one that was started there.

    `base` None starts from random weights of the shape `config`, for comparison only. `budget_each`
    is what was asked for each puzzle, where several are adapted to together for their callers.
    `compile_step` None compiles where that is possible and worth its time.
    `tuned_folder` holds what was measured to be fastest on this machine. Of several `ranks` each
    prepares it.

    Raises: AdaptationError for an empty budget, grids larger than the canvas, or a folder with
    other content; EnrolmentError for a base of another kind; DatasetError; TrainingError.
    """
    check_budget(options)
    if base is not None:
        check_arc(base)
        if base.folder.resolve() == folder.resolve():
            raise AdaptationError(
                f"{folder} is the base, which is never written to: give another folder"
            )
    _check_folder(folder, base)
    check_fit(puzzles, config.canvas, "random weights" if base is None else str(base.folder))
    dataset = build_dataset(
        puzzles, config.canvas, options.num_variants, options.seed, crop=config.crop
    )
    held_out = hold_out(puzzles, options.seed) if options.holds_out else HeldOut.nothing()
    made_from = {
        "owner": owner,
        "base": None if base is None else base.folder.resolve().name,
        "base_sha256": None if base is None else base.sha256,
        "puzzles": {puzzle.name: puzzle.demonstrations_hash for puzzle in puzzles},
        "variants": options.num_variants,
        "budget": {"seconds": options.seconds, "steps": options.steps},
        "budget_each": None if budget_each is None else budget_each.model_dump(),
        "options": asdict(options),
        "held_out": dict(held_out.indices),
        "held_out_note": held_out.note,
    }
    documents: dict[str, object] = {
        "identifiers.json": list(dataset.identifiers),
        PUZZLES_NAME: index_document(dataset.puzzles),
    }
    calibration = None if base is None else RowIndex(base).calibration
    if calibration is not None:
        documents[CONFIDENCE_NAME] = calibration.model_dump(mode="json")
    where = pick_device(device)
    if compile_step is None:
        compile_step = is_worth_compiling(options, len(dataset.arrays)) and can_compile(where)
    run = Pretraining(
        folder,
        replace(options.configure(config), num_rows=len(dataset.identifiers)),
        dataset.arrays,
        options.train_settings(),
        documents,
        device=where,
        compile_step=compile_step,
        num_threads=num_threads,
        start=None if base is None else start_from(base),
        left_out=held_out.mark(dataset),
        precision="auto",
        tuned_folder=tuned_folder,
        ranks=ranks,
    )
    adaptation = Adaptation(
        run,
        record_name=ADAPTATION_NAME,
        made_from=made_from,
        checked=held_out.checked(dataset),
        # Where rates do not fall, what is practised decides nothing: the checks are saved.
        practised=held_out.practised(dataset) if options.tapers else (),
        tapers=options.tapers,
    )
    # Before training, so that a folder that a kill leaves behind can be identified.
    if ranks.is_first:
        write_adaptation(folder, adaptation.record)
    return adaptation


def check_budget(options: AdaptOptions) -> None:
    """Check that there is a budget.

    Raises: AdaptationError.
    """
    given = [budget for budget in (options.seconds, options.steps) if budget is not None]
    if not given:
        raise AdaptationError("an adaptation needs a budget: give steps, or a time")
    if any(budget <= 0 for budget in given):
        raise AdaptationError(
            "the budget is 0, which adapts nothing: without adaptation a puzzle without rows "
            "cannot be solved. Give at least one step, or a time above 0"
        )


def check_fit(puzzles: Sequence[Puzzle], canvas: int, base: str) -> None:
    """Check that demonstrations and test inputs fit the canvas.

    Raises: AdaptationError with the grids and the canvas.
    """
    too_large = [
        f"{puzzle.name}: {text_from_path(path)} is {grid.size[0]} x {grid.size[1]}"
        for puzzle in puzzles
        for path, grid in puzzle.misfits(canvas)
    ]
    if too_large:
        more = f", and {len(too_large) - 3} more" if len(too_large) > 3 else ""
        raise AdaptationError(
            f"the canvas of {base} is {canvas} x {canvas}, too small for {'; '.join(too_large[:3])}"
            f"{more}. Take a base with a larger canvas, or leave these puzzles out"
        )


def _check_folder(folder: Path, base: Checkpoint | None) -> None:
    """Check that a folder is free, or holds an incomplete adaptation of this base."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise AdaptationError(f"{folder} is a file: give a folder for the adapted checkpoint")
    record = read_adaptation(folder)
    if record is None:
        if any(not path.name.startswith(".") for path in folder.iterdir()):
            raise AdaptationError(
                f"{folder} holds something other than an adaptation: give an empty or a new folder"
            )
        return
    if record.complete:
        raise AdaptationError(
            f"{folder} holds an adaptation that is complete ({record.steps} steps, "
            f"{record.seconds:.0f} s): give another folder, or remove it"
        )
    if record.base_sha256 != (base.sha256 if base else None):
        raise AdaptationError(
            f"{folder} holds an adaptation of another base ({record.base}): give another folder"
        )
