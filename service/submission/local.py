"""`hrm-arc submit` on this machine: checkpoints are opened, adapted where wanted, and vote."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from augment import Grid
from hrm_core import Engine, open_checkpoint
from service.runtime.engine_options import EngineOptions
from service.solving.enrolment import RowIndex
from service.solving.members import Member
from service.submission.adapting import adapt_for_session, remove_adaptation
from service.submission.challenges import ChallengeSet
from service.submission.local_vote import LocalVote, Voters, enrol_all
from service.submission.output import NUM_ATTEMPTS
from service.submission.session import ProgressView, SubmitConfig, SubmitSession, Submitted
from voting import Ranking, Tally

OpenEngine = Callable[[RowIndex, EngineOptions, int], Engine]


def submit_locally(
    challenges: ChallengeSet,
    config: SubmitConfig,
    open_engine: OpenEngine,
    view: ProgressView,
    should_stop: Callable[[], bool],
) -> Submitted:
    """Answer challenges with checkpoint folders, each of which runs in one engine.

    `open_engine` makes a checkpoint's engine for a number of samples, and checks its rows.

    Raises: AugmentError, HRMCoreError, ServiceError for what a checkpoint or the device cannot do.
    """
    row_indexes = [_open(Path(folder), config) for folder in config.checkpoints]
    hashes = {_name(one): one.checkpoint.sha256 for one in row_indexes}
    with SubmitSession.open(challenges, config, hashes, view, should_stop) as session:
        if config.is_fresh:
            remove_adaptation(config.paths.adapted)
        adapted = adapt_for_session(session, row_indexes)
        if adapted is not None:
            row_indexes.append(_open(adapted, config))
        if not should_stop():
            _vote(session, row_indexes, open_engine)
        return session.finish()


def _open(folder: Path, config: SubmitConfig) -> RowIndex:
    return RowIndex(open_checkpoint(folder, config.canvas))


def _name(row_index: RowIndex) -> str:
    return row_index.checkpoint.folder.resolve().name


def _vote(session: SubmitSession, row_indexes: Sequence[RowIndex], open_engine: OpenEngine) -> None:
    run, config = session.run, session.config
    voters = enrol_all(run, row_indexes)
    for puzzle_id, members in voters.items():
        run.judges[puzzle_id] = partial(_judge, members[0], run.ranking)
    plan = session.make_plan(is_whole=False)
    if plan.num_open == 0:
        return
    engines = _open_engines(session, row_indexes, voters, open_engine)
    vote = LocalVote(run, plan, voters, engines, config.options)
    vote.run(session.show, session.should_stop)


def _judge(main: Member, ranking: Ranking, tally: Tally, test_input: Grid) -> tuple[float, ...]:
    """Return the main checkpoint's confidence in the attempts, by the votes of all."""
    return main.confidence(tally, ranking, test_input, NUM_ATTEMPTS)


def _open_engines(
    session: SubmitSession,
    row_indexes: Sequence[RowIndex],
    voters: Voters,
    open_engine: OpenEngine,
) -> dict[str, Engine]:
    """Open an engine for each checkpoint that votes, with the options of the earlier run's engine.

    Samples are answered bit for bit alike with the same number of slots and threads, precision and
    attention backend: a run that continues a killed one then writes the same file as an
    uninterrupted one.
    """
    journal, config = session.run.journal, session.config
    inputs = {one.puzzle_id: len(one.inputs) for one in session.run.challenges}
    engines = {}
    for row_index in row_indexes:
        name = _name(row_index)
        num_samples = sum(
            inputs[puzzle_id] * min(num, config.options.variants or num)
            for puzzle_id, members in voters.items()
            for member in members
            if member.name == name and (num := len(member.puzzle_rows.variants))
        )
        if num_samples:
            earlier = journal.engines.get(name, EngineOptions())
            engines[name] = open_engine(row_index, config.engine.fill(earlier), num_samples)
    journal.note_engines({name: _options_of(engine) for name, engine in engines.items()})
    return engines


def _options_of(engine: Engine) -> EngineOptions:
    """Return the options that an engine runs with; the device is left open."""
    return EngineOptions(
        slots=engine.num_slots,
        precision=engine.precision,
        attention=engine.attention.name,
        compiled=engine.config.compile,
        num_threads=engine.num_threads,
    )
