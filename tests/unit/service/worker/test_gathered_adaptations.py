"""Puzzles that come at once: adapted to together, each job by itself; interrupted, and reused."""

import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from augment import Grid, Pair, Puzzle
from bench.fake_engine import FakeEngine
from service.adaptation.cache import AdaptedCache
from service.jobs import Job
from service.solving.members import Member
from service.solving.records import read_adaptation
from service.wire.errors import AdaptationError
from service.worker.adaptation_queue import MAX_TOGETHER
from service.worker.adaptation_turns import AdaptationTurns
from service.worker.engine_pool import EnginePool
from service.worker.job_table import SolveRequest, read_request
from service.worker.messages import Change, Progressed

pytestmark = pytest.mark.usefixtures("one_thread")

STEPS = 4
GATHER_S = 0.2
END_S = 60.0

Make = Callable[..., AdaptationTurns]
RequestOf = Callable[..., SolveRequest]


@pytest.fixture
def events() -> list[Any]:
    """Return the events that the adaptations have delivered."""
    return []


@pytest.fixture
def make(tmp_path: Path, tiny_folder: Path, events: list[Any]) -> Make:
    """Return a maker of a worker's adaptations, which gather puzzles."""

    def make(folder: str = "adapted", **options: Any) -> AdaptationTurns:
        return AdaptationTurns(
            EnginePool({"tiny": tiny_folder}, FakeEngine, max_resident=1),
            AdaptedCache(tmp_path / folder, max_bytes=10**9),
            events.append,
            **{"device": "cpu", "snapshot_s": 3600.0, "gather_s": GATHER_S} | options,
        )

    return make


@pytest.fixture
def request_of(job_of: Callable[..., Job]) -> RequestOf:
    """Return a maker of requests for puzzles that the tiny checkpoint has no rows for."""

    def make(
        colour: int, steps: int = STEPS, owner: str = "anna", side: int = 2, **options: Any
    ) -> SolveRequest:
        pair = Pair(Grid.from_rows([[colour, 0]]), Grid.from_rows([[0, colour]]))
        puzzle = Puzzle("new", (pair,), (Grid.from_rows([[colour] * side]),))
        return read_request(job_of(puzzle, owner=owner, adapt="auto", adapt_steps=steps, **options))

    return make


def run_to_the_end(adaptations: AdaptationTurns) -> dict[str, Exception]:
    """Take turns until nothing is left to do; return the jobs that failed."""
    failed: dict[str, Exception] = {}
    deadline = time.monotonic() + END_S
    while adaptations.num_waiting:
        failed |= adaptations.turn()
        assert time.monotonic() < deadline
    return failed


def train_until(adaptations: AdaptationTurns, step: int) -> None:
    """Take turns until so many steps were taken."""
    while adaptations._run is None or adaptations._run.adaptation.run.step < step:
        assert adaptations.turn() == {}


def members(adaptations: AdaptationTurns, requests: dict[str, SolveRequest]) -> dict[str, Member]:
    """Enrol jobs whose adaptation is over."""
    found = {job_id: adaptations.enrol(job_id, one, "tiny") for job_id, one in requests.items()}
    assert None not in found.values()
    return {job_id: member for job_id, member in found.items() if member is not None}


def summaries(found: dict[str, Member]) -> dict[str, tuple[int, int, bool]]:
    """Give of each job's adaptation the puzzles, the steps, and whether it was there before."""
    reported = {job_id: member.adaptation for job_id, member in found.items()}
    return {job: (one.puzzles, one.steps, one.reused) for job, one in reported.items() if one}


def join_all(adaptations: AdaptationTurns, requests: dict[str, SolveRequest]) -> None:
    for job_id, one in requests.items():
        assert adaptations.enrol(job_id, one, "tiny") is None


def together(num: int) -> int:
    """Return the steps of a joint budget."""
    return math.ceil(STEPS * math.sqrt(num))


def test_puzzles_that_come_at_once_are_adapted_to_together_and_reused_one_by_one(
    make: Make, request_of: RequestOf, events: list[Any]
) -> None:
    adaptations, requests = make(), {f"j{colour}": request_of(colour) for colour in (3, 4, 5)}
    join_all(adaptations, requests)
    assert adaptations.num_waiting == 1
    assert run_to_the_end(adaptations) == {}

    running = [event.job_id for event in events if getattr(event, "change", 0) is Change.RUNNING]
    assert sorted(running) == sorted(requests)
    found = members(adaptations, requests)
    assert summaries(found) == dict.fromkeys(requests, (3, together(3), False))
    assert len({member.name for member in found.values()}) == 1
    rows = [row for member in found.values() for row in member.puzzle_rows.rows.tolist()]
    assert sorted(rows) == list(range(1, 7))

    later = members(make(), {f"later {name}": one for name, one in requests.items()})
    assert {reused for _, _, reused in summaries(later).values()} == {True}
    assert make().enrol("more", request_of(3, steps=STEPS + 1), "tiny") is None


@pytest.mark.parametrize(
    "other",
    [
        {"owner": "ben"},
        {"steps": STEPS + 1},
        {"adapt_variants": 3},
        {"priority": "batch"},
        {"adapt_s": 60.0},
        {"side": 4},  # it does not fit the canvas
    ],
)
def test_what_differs_in_more_than_the_puzzle_is_adapted_to_apart(
    make: Make, request_of: RequestOf, other: dict[str, Any]
) -> None:
    adaptations = make()
    adaptations.enrol("a", request_of(3), "tiny")
    adaptations.enrol("b", request_of(4, **other), "tiny")
    adaptations.enrol("c", request_of(5), "tiny")
    assert adaptations.num_waiting == 2


def test_gathering_can_be_turned_off(make: Make, request_of: RequestOf) -> None:
    adaptations = make(gather_s=0.0)
    requests = {"a": request_of(3), "b": request_of(4), "again": request_of(3)}
    join_all(adaptations, requests)
    assert adaptations.num_waiting == 2
    assert adaptations.is_due(0.0)
    assert run_to_the_end(adaptations) == {}
    assert set(summaries(members(adaptations, requests)).values()) == {(1, STEPS, False)}


def test_no_more_than_so_many_are_adapted_to_together(make: Make, job_of: Any) -> None:
    adaptations = make()
    for number in range(MAX_TOGETHER + 1):
        cells = [[1 + number // 8, 1 + number % 8]]
        pair = Pair(Grid.from_rows(cells), Grid.from_rows(cells))
        puzzle = Puzzle("new", (pair,), (Grid.from_rows([[1]]),))
        job = job_of(puzzle, owner="anna", adapt="auto", adapt_steps=STEPS)
        adaptations.enrol(f"j{number}", read_request(job), "tiny")
        assert adaptations.num_waiting == (1 if number < MAX_TOGETHER else 2)
    assert adaptations.is_due(0.0)  # the first has no room, so it waits no longer


def test_engines_are_not_kept_waiting_while_puzzles_gather(
    make: Make, request_of: RequestOf
) -> None:
    adaptations = make(gather_s=3600.0)
    adaptations.enrol("a", request_of(3), "tiny")
    assert not adaptations.is_due(0.0)
    assert adaptations.is_due(None)  # they have no work
    assert adaptations.turn() == {}
    assert adaptations.num_waiting == 1


def test_a_puzzle_that_cannot_be_adapted_to_fails_alone(make: Make, request_of: RequestOf) -> None:
    adaptations, good = make(), {"a": request_of(3), "c": request_of(5)}
    adaptations.enrol("large", request_of(4, side=4), "tiny")
    join_all(adaptations, good)
    failed = run_to_the_end(adaptations)
    assert set(failed) == {"large"}
    assert isinstance(failed["large"], AdaptationError)
    assert set(summaries(members(adaptations, good)).values()) == {(2, together(2), False)}


def test_a_job_that_leaves_while_puzzles_gather_takes_its_puzzle_along(
    make: Make, request_of: RequestOf
) -> None:
    adaptations, requests = make(), {f"j{colour}": request_of(colour) for colour in (3, 4, 5)}
    join_all(adaptations, requests)
    adaptations.forget("j4")
    assert run_to_the_end(adaptations) == {}
    del requests["j4"]
    found = members(adaptations, requests)
    assert set(summaries(found).values()) == {(2, together(2), False)}
    assert adaptations.enrol("again", request_of(4), "tiny") is None


def test_a_job_that_leaves_while_it_is_trained_leaves_the_others_as_they_are(
    make: Make, request_of: RequestOf
) -> None:
    adaptations, requests = make(), {f"j{colour}": request_of(colour) for colour in (3, 4, 5)}
    join_all(adaptations, requests)
    train_until(adaptations, 2)
    adaptations.forget("j4")
    adaptations.forget("j5")
    assert run_to_the_end(adaptations) == {}
    left = {name: requests[name] for name in ("j3",)}
    assert summaries(members(adaptations, left)) == {"j3": (3, together(3), False)}
    # It is there for the puzzle of a job that left.
    late = members(adaptations, {"late": request_of(4)})
    assert summaries(late) == {"late": (3, together(3), True)}


def test_a_job_of_a_puzzle_that_is_being_trained_joins_and_other_puzzles_gather_again(
    make: Make, request_of: RequestOf, events: list[Any]
) -> None:
    adaptations, requests = make(), {"a": request_of(3), "b": request_of(4)}
    join_all(adaptations, requests)
    train_until(adaptations, 1)
    more = {"a again": request_of(3), "new": request_of(6), "newer": request_of(7)}
    join_all(adaptations, more)
    assert adaptations.num_waiting == 2
    progress = json.loads(events[-1].data)["adaptation"]
    assert (progress["phase"], progress["puzzles"]) == ("waiting", 2)
    assert run_to_the_end(adaptations) == {}
    reported = summaries(members(adaptations, requests | more))
    assert set(reported.values()) == {(2, together(2), False)}


def weights_in(folder: Path) -> bytes:
    """Read the weights of the only adapted checkpoint in a folder."""
    (path,) = folder.glob("*/step_*")
    return path.read_bytes()


@pytest.mark.parametrize("first", ["j3", "j5"])
def test_an_interrupted_adaptation_goes_on_for_jobs_that_come_back(
    make: Make, request_of: RequestOf, tmp_path: Path, first: str
) -> None:
    requests = {f"j{colour}": request_of(colour) for colour in (3, 4, 5)}
    undisturbed = make("undisturbed")
    join_all(undisturbed, requests)
    assert run_to_the_end(undisturbed) == {}

    before = make()
    join_all(before, requests)
    train_until(before, 2)
    assert set(before.suspend()) == set(requests)
    (begun,) = (tmp_path / "adapted").glob("*/adaptation.json")
    record = read_adaptation(begun.parent)
    assert record is not None
    assert 2 <= record.steps < together(3)

    after = make()
    back = {first: requests[first]}
    join_all(after, back)
    # A puzzle that was not among them does not join what was begun.
    join_all(after, {"new": request_of(7)})
    assert after.num_waiting == 2
    train_until(after, record.steps + 1)
    assert run_to_the_end(after) == {}

    assert summaries(members(after, back)) == {first: (3, together(3), False)}
    assert summaries(members(after, {"new": request_of(7)})) == {"new": (1, STEPS, False)}
    (weights,) = begun.parent.glob("step_*")
    assert weights.read_bytes() == weights_in(tmp_path / "undisturbed")


def test_what_another_worker_has_done_meanwhile_is_not_done_again(
    make: Make, request_of: RequestOf, events: list[Any]
) -> None:
    slow, quick = make(), make(gather_s=0.0)
    requests = {"a": request_of(3), "b": request_of(4)}
    join_all(slow, requests)
    join_all(quick, {"other's": request_of(3)})
    assert run_to_the_end(quick) == {}
    assert run_to_the_end(slow) == {}
    assert summaries(members(slow, requests)) == {"a": (1, STEPS, True), "b": (1, STEPS, False)}


def test_a_removed_adaptation_is_made_again_for_each_of_its_puzzles(
    make: Make, request_of: RequestOf
) -> None:
    adaptations, requests = make(), {"a": request_of(3), "b": request_of(4)}
    join_all(adaptations, requests)
    assert run_to_the_end(adaptations) == {}
    name = members(adaptations, requests)["a"].name
    adaptations.remove(name, time.time() + 60)
    join_all(adaptations, {"c": request_of(3), "d": request_of(4)})
    assert adaptations.num_waiting == 1


def test_jobs_are_reported_how_long_their_adaptation_takes_once_that_is_known(
    make: Make, request_of: RequestOf, events: list[Any]
) -> None:
    adaptations = make(gather_s=0.0)
    adaptations.enrol("timed", request_of(2, steps=None, adapt_s=50.0), "tiny")
    adaptations.enrol("then", request_of(3, steps=None, adapt_s=30.0), "tiny")
    times = [reported(event) for event in events if isinstance(event, Progressed)]
    assert times == [(50.0, 50.0), (30.0, 80.0)]  # the second waits for the first
    adaptations.forget("timed")
    adaptations.forget("then")

    events.clear()
    adaptations.enrol("unknown", request_of(4, steps=STEPS), "tiny")
    (first,) = [reported(event) for event in events if isinstance(event, Progressed)]
    assert first == (None, None)
    assert run_to_the_end(adaptations) == {}
    events.clear()
    adaptations.enrol("known", request_of(5, steps=10 * STEPS), "tiny")
    (expected_s, remaining_s) = reported(next(one for one in events if isinstance(one, Progressed)))
    assert expected_s == remaining_s
    assert 0.0 < expected_s < END_S


def reported(event: Progressed) -> tuple[Any, Any]:
    """Give the expected and the remaining seconds."""
    adaptation = json.loads(event.data)["adaptation"]
    return adaptation["expected_s"], adaptation["remaining_s"]
