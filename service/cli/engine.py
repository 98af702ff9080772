"""The engine that the command line's options make, on a checkpoint that is known to be sound."""

from dataclasses import replace
from pathlib import Path

from hrm_core import Checkpoint, Engine, open_checkpoint
from service.cli.output import console, notices, progress_bar, warn
from service.runtime.state_folder import current_state_folder, tuned_folder
from service.solving import engines
from service.solving.enrolment import Registrar
from service.solving.self_test.record import examine, keep, read_examination
from service.solving.self_test.run import MAX_DEMONSTRATIONS, run_self_test
from service.wire.checkpoint import Finding
from service.wire.errors import AlignmentError


def make_engine(
    checkpoint: Checkpoint,
    *,
    device: str = "auto",
    slots: int | None = None,
    precision: str | None = None,
    attention: str = "auto",
    compiled: bool | None = None,
    num_threads: int | None = None,
    num_samples: int | None = None,
) -> Engine:
    """Make the engine that the options describe, saying so where it is not what was asked for.

    `num_samples`, where known, keeps the default from making more slots than there is work for.
    """
    return engines.make_engine(
        checkpoint,
        say=notices.print,
        device=device,
        slots=slots,
        precision=precision,
        attention=attention,
        compiled=compiled,
        num_threads=num_threads,
        max_slots=num_samples,
        tuned_folder=tuned_folder(current_state_folder()),
    )


def check_rows(engine: Engine, registrar: Registrar) -> tuple[str, ...]:
    """Run the self-test where none is kept, print what there is to warn of, and return it.

    Raises: AlignmentError when the rows do not belong to their names.
    """
    checkpoint = registrar.checkpoint
    name = checkpoint.folder.resolve().name
    examination = read_examination(checkpoint)
    if examination is None:
        try:
            with progress_bar() as bar:
                bar.add_task(f"first use of {name}: testing its rows", total=None)
                examination = examine(engine, registrar)
        except AlignmentError as error:
            sentence = f"{name}: {error}"
            warn(sentence)
            return (sentence,)
        if not examination.changes:
            keep(checkpoint, examination.test)
    if examination.finding is Finding.MISALIGNED:
        raise AlignmentError(
            f"{checkpoint.folder}: {examination.verdict}. Its answers would mean nothing; "
            f"`hrm-arc verify {checkpoint.folder}` runs the test again"
        )
    if examination.finding is Finding.ALIGNED:
        return ()
    sentence = f"{name}: {examination.verdict}"
    warn(sentence)
    return (sentence,)


def leave_self_test(folder: Path, device: str, num_threads: int | None) -> None:
    """Test a checkpoint that was just written with its names, keep the outcome and print it."""
    checkpoint = open_checkpoint(folder)
    registrar = Registrar(checkpoint)
    engine = make_engine(
        checkpoint,
        device=device,
        compiled=False,
        num_threads=num_threads,
        num_samples=MAX_DEMONSTRATIONS,
    )
    try:
        with progress_bar() as bar:
            bar.add_task("testing what was learned", total=None)
            test = replace(run_self_test(engine, registrar), names_known=True)
    except AlignmentError:
        return  # a puzzle with few demonstrations and few variants cannot be tested
    keep(checkpoint, test)
    console.print(f"Self-test: {test.verdict}.", markup=False, soft_wrap=True)
