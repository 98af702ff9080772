"""The engines of the command line, on checkpoints that have passed their self-test."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import typer

from hrm_core import (
    Checkpoint,
    Engine,
    can_compile,
    open_checkpoint,
    pick_device,
    release_memory,
)
from service.cli.output import console, notices, warn, working
from service.runtime.devices import EngineOptions, split_devices
from service.runtime.folders import state_subfolder
from service.solving import engines
from service.solving.enrolment import RowIndex
from service.solving.examination import examine, keep, read_examination
from service.solving.pooled_engine import PooledEngine
from service.solving.self_test import MAX_DEMONSTRATIONS, run_self_test
from service.wire.checkpoint import Finding
from service.wire.errors import AlignmentError


def make_engine(
    checkpoint: Checkpoint, options: EngineOptions, num_samples: int | None = None
) -> Engine:
    """Make an engine, with a notice for each option that it cannot have as given.

    `num_samples`, where known, limits the default number of slots. Several devices have a process
    each.
    """
    devices = split_devices(options.device)
    options = replace(options, device=devices[0])
    make = partial(
        engines.make_engine, max_slots=num_samples, tuned_folder=state_subfolder("tuned")
    )
    if len(devices) == 1:
        return make(checkpoint, options, say=notices.print)
    release_memory()  # a process does not find free what a training before has left cached here
    return PooledEngine(checkpoint, devices, options, make, say=notices.print, warn=warn)


def open_engine(
    row_index: RowIndex, options: EngineOptions, num_samples: int | None = None
) -> Engine:
    """Make an engine and check the rows of its checkpoint.

    Raises: AlignmentError when the rows do not belong to their names.
    """
    engine = make_engine(row_index.checkpoint, options, num_samples)
    check_rows(engine, row_index)
    return engine


def check_rows(engine: Engine, row_index: RowIndex) -> tuple[str, ...]:
    """Run the self-test unless its outcome is kept; print and return what it warns of.

    Raises: AlignmentError when the rows do not belong to their names.
    """
    if row_index.kind.rules is not None:
        return ()  # the rules check each of its answers
    checkpoint, name = row_index.checkpoint, row_index.name
    examination = read_examination(checkpoint)
    if examination is None:
        try:
            with working(f"first use of {name}: testing its rows"):
                examination = examine(engine, row_index)
        except AlignmentError as error:
            return _warned(f"{name}: {error}")
        if not examination.changes:
            keep(checkpoint, examination.test)
    if examination.finding is Finding.MISALIGNED:
        raise AlignmentError(
            f"{checkpoint.folder}: {examination.verdict}. Its answers would mean nothing; "
            f"`hrm-arc verify {checkpoint.folder}` runs the test again"
        )
    if examination.finding is Finding.ALIGNED:
        return ()
    return _warned(f"{name}: {examination.verdict}")


def _warned(sentence: str) -> tuple[str, ...]:
    warn(sentence)
    return (sentence,)


def may_compile_training(device: str, wanted: bool) -> bool:
    """Return whether training is compiled, with a notice where that is wanted but not possible."""
    if wanted and not can_compile(pick_device(device)):
        console.print("No compiler found: training runs uncompiled, which is slower.")
        return False
    return wanted


def finish_training(folder: Path, options: EngineOptions, is_complete: bool, step: int) -> None:
    """Test a checkpoint that was just trained with its names, keep the outcome and print it.

    Raises: typer.Exit with code 130 for a training that was stopped.
    """
    if not is_complete:
        console.print(f"Stopped at step {step}. The same command continues from here.")
        raise typer.Exit(130)
    checkpoint = open_checkpoint(folder)
    row_index = RowIndex(checkpoint)
    if row_index.kind.rules is not None:
        return  # the rules check each of its answers
    engine = make_engine(checkpoint, replace(options, compiled=False), MAX_DEMONSTRATIONS)
    try:
        with working("testing what was learned"):
            test = replace(run_self_test(engine, row_index), names_known=True)
    except AlignmentError:
        return  # a puzzle with few demonstrations and few variants cannot be tested
    keep(checkpoint, test)
    console.print(f"Self-test: {test.verdict}.", soft_wrap=True)
