"""`hrm-arc submit` on this machine."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hrm_core import AdaptProgress, Engine, open_checkpoint
from service.adaptation.prepare import AdaptOptions
from service.cli.engine import check_rows, make_engine
from service.cli.submit_run import Frame, How, Submitted, framed
from service.solving.enrolment import Registrar
from service.submission.adapting import adapt_to_unknown, remove_adaptation
from service.submission.challenges import Challenge
from service.submission.journal import EngineNote
from service.submission.local import LocalVote, Voters, enrol_all
from service.submission.paths import Paths

DEFAULT_ADAPT_MINUTES = 10.0


def submit_locally(
    challenges: Sequence[Challenge],
    paths: Paths,
    how: How,
    canvas: int | None,
    engine_options: Mapping[str, Any],
) -> Submitted:
    """Vote with checkpoint folders, each through one engine.

    Raises: AugmentError, HRMCoreError, ServiceError for what a checkpoint or the device cannot.
    """
    registrars = [Registrar(open_checkpoint(Path(folder), canvas)) for folder in how.checkpoints]
    hashes = {one.checkpoint.folder.resolve().name: one.checkpoint.sha256 for one in registrars}
    with framed(challenges, paths, how, hashes) as frame:
        if how.is_fresh:
            remove_adaptation(paths.adapted)
        adapted = _adapt(frame, registrars, engine_options)
        if adapted is not None:
            registrars.append(Registrar(open_checkpoint(adapted, canvas)))
        if not frame.should_stop():
            _vote(frame, registrars, engine_options)
        return frame.finish()


def _adapt(
    frame: Frame, registrars: Sequence[Registrar], engine_options: Mapping[str, Any]
) -> Path | None:
    how, options = frame.how, frame.how.options
    if options.adapt == "never":
        return None
    seconds = options.adapt_s
    if seconds is None and options.adapt_steps is None:
        seconds = 60 * (DEFAULT_ADAPT_MINUTES if how.minutes is None else how.minutes / 2)
    clock = frame.run.clock

    def show(progress: AdaptProgress) -> None:
        share = progress.held_out_share
        held_out = "" if share is None else f", held out {share:.0%} right"
        frame.shown.say(f"adapting, {progress.used_share:.0%} of its time{held_out}")

    return adapt_to_unknown(
        frame.run.challenges,
        registrars,
        frame.paths.adapted,
        AdaptOptions(
            seconds=seconds,
            steps=options.adapt_steps,
            num_variants=options.adapt_variants or AdaptOptions().num_variants,
            seed=options.seed,
        ),
        options.adapt,
        str(engine_options["device"]),
        engine_options["num_threads"],
        show,
        lambda: frame.should_stop() or clock.is_over,
    )


def _vote(frame: Frame, registrars: Sequence[Registrar], engine_options: Mapping[str, Any]) -> None:
    run, how = frame.run, frame.how
    voters = enrol_all(run, registrars)
    plan = frame.make_plan(is_whole=False)
    if plan.num_open == 0:
        return
    engines = _engines(frame, registrars, voters, engine_options)
    LocalVote(run, plan, voters, engines, how.options).take(frame.show, frame.should_stop)


def _engines(
    frame: Frame,
    registrars: Sequence[Registrar],
    voters: Voters,
    engine_options: Mapping[str, Any],
) -> dict[str, Engine]:
    """Make an engine for each checkpoint that votes, which runs as that of a run before did.

    Samples are answered bit for bit alike at one number of slots and threads, precision and
    attention backend: so a run that was killed and went on writes the same file as one that was
    not.
    """
    inputs = {one.puzzle_id: len(one.inputs) for one in frame.run.challenges}
    engines = {}
    for registrar in registrars:
        name = registrar.checkpoint.folder.resolve().name
        num_samples = sum(
            inputs[puzzle_id] * min(num, frame.how.options.variants or num)
            for puzzle_id, members in voters.items()
            for member in members
            if member.name == name and (num := len(member.enrolment.variants))
        )
        if num_samples:
            engines[name] = make_engine(
                registrar.checkpoint,
                **as_before(engine_options, frame.journal.engines.get(name)),
                num_samples=num_samples,
            )
            check_rows(engines[name], registrar)
    frame.journal.note_engines(
        {
            name: EngineNote(
                slots=engine.num_slots,
                num_threads=engine.num_threads,
                precision=engine.precision,
                attention=engine.attention.name,
                compiled=engine.config.compile,
            )
            for name, engine in engines.items()
        }
    )
    return engines


def as_before(options: Mapping[str, Any], note: EngineNote | None) -> dict[str, Any]:
    """Return the engine's options, those that were left open as a run before has decided them."""
    if note is None:
        return dict(options)
    open_ones = {
        name: value for name, value in asdict(note).items() if options[name] in (None, "auto")
    }
    return {**options, **open_ones}
