"""Adaptation on this machine: one checkpoint, adapted to all puzzles that nobody knows."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from augment import Puzzle
from hrm_core import AdaptProgress, can_compile, pick_device
from service.adaptation.prepare import AdaptOptions, is_worth_compiling, prepare_adaptation
from service.adaptation.record import ADAPTATION_NAME, read_adaptation
from service.runtime.state_folder import current_state_folder, tuned_folder
from service.solving.enrolment import Registrar
from service.submission.challenges import Challenge
from service.wire.errors import AdaptationError


def adapt_to_unknown(
    challenges: Sequence[Challenge],
    registrars: Sequence[Registrar],
    folder: Path,
    options: AdaptOptions,
    mode: Literal["auto", "always"],
    device: str,
    num_threads: int | None,
    show: Callable[[AdaptProgress], None],
    should_stop: Callable[[], bool],
) -> Path | None:
    """Adapt the first checkpoint to the puzzles nobody knows, or in mode `always` to all.

    Gives the adapted checkpoint's folder; None where nothing is to be adapted to, and when stopped:
    the same call then goes on. Puzzles beyond the canvas are left out.

    Raises: AdaptationError for a folder that holds something else; DatasetError, TrainingError.
    """
    base = registrars[0].checkpoint
    puzzles = [
        one.task.puzzle
        for one in challenges
        if one.task is not None
        and one.task.puzzle.fits(base.config.canvas)
        and (mode == "always" or not any(mine.knows(one.task.puzzle) for mine in registrars))
    ]
    if not puzzles:
        return None
    if _is_made(folder, puzzles, base.sha256):
        return folder
    where = pick_device(device)
    adaptation = prepare_adaptation(
        base,
        base.config,
        puzzles,
        folder,
        options,
        device=device,
        compile_step=is_worth_compiling(options) and can_compile(where),
        num_threads=num_threads,
        tuned_folder=tuned_folder(current_state_folder()),
    )
    return folder if adaptation.adapt(show, should_stop) else None


def remove_adaptation(folder: Path) -> None:
    """Remove a folder that holds an adaptation, and no other one."""
    if (folder / ADAPTATION_NAME).is_file():
        shutil.rmtree(folder)


def _is_made(folder: Path, puzzles: Sequence[Puzzle], base_sha256: str) -> bool:
    record = read_adaptation(folder)
    if record is None or not record.is_complete:
        return False
    wanted = {puzzle.name: puzzle.demonstrations_hash for puzzle in puzzles}
    if (record.base_sha256, record.demonstrations) != (base_sha256, wanted):
        raise AdaptationError(
            f"{folder} holds an adaptation of another base, or to other puzzles: begin anew with "
            "--fresh, or give another --out"
        )
    return True
