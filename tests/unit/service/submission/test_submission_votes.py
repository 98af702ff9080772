"""Votes that come in rounds, the journal they are kept in, and the plan that orders them."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from augment import Grid
from service.runtime.devices import EngineOptions
from service.submission.files import Journal
from service.submission.run import Plan, Round, round_stops
from service.submission.votes import InputVotes, RoundVotes, Standing
from service.wire.errors import InputError
from voting import Q_ONE, GridVotes, Ranking, Tally

A, B, C = (Grid.from_rows([[colour, 0], [1, 2]]) for colour in (3, 4, 5))
ENGINE = EngineOptions(
    slots=64, num_threads=2, precision="bfloat16", attention="flash3_fwd", compiled=True
)
IDENTITY = {"challenges": "f" * 8, "seed": 0}


def votes(*counts: tuple[Grid, int], abstained: int = 0, unlisted: int = 0) -> InputVotes:
    tally = Tally.of([GridVotes(grid, num, num * Q_ONE // 2) for grid, num in counts], abstained)
    return InputVotes(tally, unlisted, num_segments=7)


def one_round(
    puzzle_id: str, start: int, stop: int, *tests: InputVotes, settled: bool = False
) -> RoundVotes:
    return RoundVotes(puzzle_id, start, stop, tests, settled, ("demo",), elapsed_s=float(stop))


def test_rounds_that_follow_each_other_add_up() -> None:
    standing = (
        Standing()
        .add(one_round("p", 0, 8, votes((A, 5), (B, 3))))
        .add(one_round("p", 8, 32, votes((B, 20), abstained=4), settled=True))
    )

    assert standing.votes == (replace(votes((A, 5), (B, 23), abstained=4), num_segments=14),)
    assert (standing.stop, standing.is_settled, standing.num_rounds) == (32, True, 2)
    assert (standing.num_votes, standing.votes[0].num_ballots) == (28, 32)


def test_who_voted_in_any_round_is_named() -> None:
    first, second = one_round("p", 0, 8, votes((A, 8))), one_round("p", 8, 32, votes((A, 8)))
    both = replace(first, voters=("demo", "small"))

    assert Standing().add(both).add(second).voters == ("demo", "small")
    assert Standing().add(both).add(replace(second, start=0)).voters == ("demo",)


def test_a_round_reported_twice_counts_once() -> None:
    first, second = one_round("p", 0, 8, votes((A, 8))), one_round("p", 8, 32, votes((B, 24)))

    once = Standing().add(first).add(second)

    assert once.add(second) == once


def test_a_round_from_the_first_variant_on_stands_for_all_before_it() -> None:
    standing = (
        Standing()
        .add(one_round("p", 0, 8, votes((A, 8))))
        .add(one_round("p", 0, 32, votes((B, 30), abstained=2)))
    )

    assert standing.votes == (votes((B, 30), abstained=2),)
    assert standing.stop == 32


def test_a_round_cut_short_counts_until_it_is_run_again() -> None:
    first = Standing().add(one_round("p", 0, 8, votes((A, 8))))
    cut = first.add(replace(one_round("p", 8, 32, votes((B, 9))), is_partial=True))

    assert (cut.stop, cut.num_votes, cut.is_settled) == (8, 17, False)
    assert cut.add(one_round("p", 8, 32, votes((B, 24)))).num_votes == 32


def test_a_whole_round_cut_short_does_not_replace_more_votes() -> None:
    first = Standing().add(one_round("p", 0, 8, votes((A, 8))))

    assert first.add(replace(one_round("p", 0, 32, votes((B, 2))), is_partial=True)) == first


def test_a_lead_is_that_of_the_least_clear_test_input() -> None:
    clear, even = votes((A, 100)), votes((A, 50), (B, 50))
    open_ = votes((A, 40), (B, 35), (C, 25))

    for tests, lead in (((clear,), 1.0), ((even,), 1.0), ((clear, open_, even), 0.5)):
        standing = Standing().add(one_round("p", 0, 100, *tests))
        assert standing.lead(2, Ranking.COUNT) == pytest.approx(lead)
    assert Standing().lead(2, Ranking.COUNT) == 0.0
    assert Standing().add(one_round("p", 0, 8, votes(abstained=8))).lead(2, Ranking.COUNT) == 0.0


def test_shares_count_the_votes_that_a_service_does_not_name() -> None:
    (first, second) = votes((A, 6), (B, 2), unlisted=2).candidates(Ranking.COUNT)

    assert (first.share, second.share) == (0.6, 0.2)


def test_a_round_survives_being_written_down() -> None:
    tests = (votes((A, 5), (B, 3), abstained=1), votes(abstained=9, unlisted=2))
    reported = replace(one_round("p", 8, 32, *tests, settled=True), is_partial=True)

    assert RoundVotes.from_document(json.loads(json.dumps(reported.document()))) == reported


def test_a_journal_gives_back_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    reported = [one_round("p", 0, 8, votes((A, 8))), one_round("q", 0, 8, votes((B, 8)))]
    with Journal(path, IDENTITY) as journal:
        journal.note_engines({"demo": ENGINE})
        for one in reported:
            journal.add(one)

    with Journal(path, IDENTITY) as again:
        assert again.rounds == reported
        assert (again.engines, again.elapsed_s) == ({"demo": ENGINE}, 8.0)


def test_an_engine_runs_again_with_the_options_that_were_left_open() -> None:
    open_ = EngineOptions()
    given = EngineOptions("cpu", slots=8, attention="sdpa", compiled=False)

    assert open_.fill(EngineOptions()) == open_
    assert open_.fill(ENGINE) == ENGINE
    assert given.fill(ENGINE) == replace(
        ENGINE, device="cpu", slots=8, attention="sdpa", compiled=False
    )


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_torn_last_line_is_dropped_and_written_again(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "j.jsonl"
    first, second = one_round("p", 0, 8, votes((A, 8))), one_round("q", 0, 8, votes((B, 8)))
    with Journal(path, IDENTITY) as journal:
        journal.add(first)
        journal.add(second)
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])

    with Journal(path, IDENTITY) as journal:
        assert journal.rounds == [first]
        journal.add(second)

    assert path.read_bytes() == whole


def test_a_last_line_of_rubbish_is_dropped_too(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    with Journal(path, IDENTITY) as journal:
        journal.add(one_round("p", 0, 8, votes((A, 8))))
    with path.open("ab") as file:
        file.write(b'{"puzzle": "q", "start"\n')

    with Journal(path, IDENTITY) as journal:
        assert [one.puzzle_id for one in journal.rounds] == ["p"]


def test_a_damaged_line_in_the_middle_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    with Journal(path, IDENTITY) as journal:
        journal.add(one_round("p", 0, 8, votes((A, 8))))
        journal.add(one_round("q", 0, 8, votes((A, 8))))
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join((lines[0], b"rubbish\n", lines[2])))

    with (
        pytest.raises(InputError, match="line 2: this is not the journal"),
        Journal(path, IDENTITY),
    ):
        pass


def test_another_run_s_journal_is_refused_unless_begun_again(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    with Journal(path, IDENTITY) as journal:
        journal.add(one_round("p", 0, 8, votes((A, 8))))

    with (
        pytest.raises(InputError, match="another run \\(different seed\\)"),
        Journal(path, IDENTITY | {"seed": 1}),
    ):
        pass
    with Journal(path, IDENTITY | {"seed": 1}, is_fresh=True) as journal:
        assert journal.rounds == []
    with Journal(path, IDENTITY | {"seed": 1}) as journal:
        assert journal.rounds == []


def test_two_runs_cannot_write_to_one_journal(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    with (
        Journal(path, IDENTITY),
        pytest.raises(InputError, match="another run is writing"),
        Journal(path, IDENTITY),
    ):
        pass
    with Journal(path, IDENTITY):
        pass


def test_a_time_is_shared_out_in_rounds_and_no_time_is_one_round() -> None:
    assert round_stops(None, is_timed=False) == (None,)
    assert round_stops(100, is_timed=False) == (100,)
    assert round_stops(None, is_timed=True) == (8, 32, 128, 512, None)
    assert round_stops(100, is_timed=True) == (8, 32, 100)
    assert round_stops(8, is_timed=True) == (8,)


def plan_of(standings: dict[str, Standing], stops: Sequence[int | None] = (8, 32, None)) -> Plan:
    return Plan(standings, standings, stops, lambda one: one.lead(2, Ranking.COUNT))


def test_every_puzzle_has_its_first_round_before_any_has_its_second() -> None:
    standings = {name: Standing() for name in "abc"}
    plan = plan_of(standings)
    order = []
    while len(order) < 6:
        planned = plan.take()
        assert planned is not None
        order.append((planned.puzzle_id, planned.start, planned.stop))
        standings[planned.puzzle_id] = standings[planned.puzzle_id].add(
            one_round(planned.puzzle_id, planned.start, planned.stop or 99, votes((A, 8)))
        )
        plan.close(planned.puzzle_id)

    assert order == [
        *(("a", 0, 8), ("b", 0, 8), ("c", 0, 8)),
        *(("a", 8, 32), ("b", 8, 32), ("c", 8, 32)),
    ]


def test_open_questions_come_before_clear_ones() -> None:
    standings = {
        "clear": Standing().add(one_round("clear", 0, 8, votes((A, 7), (B, 1)))),
        "open": Standing().add(one_round("open", 0, 8, votes((A, 3), (B, 3), (C, 2)))),
    }

    planned = plan_of(standings).take()

    assert planned == Round("open", 8, 32, is_last=False)


def test_a_puzzle_at_work_is_not_given_out_again() -> None:
    plan = plan_of({"a": Standing(), "b": Standing()})

    assert {planned.puzzle_id for planned in (plan.take(), plan.take()) if planned} == {"a", "b"}
    assert plan.take() is None
    plan.close("a")
    assert plan.take() is not None
    assert plan.num_open == 2


def test_settled_and_dropped_puzzles_are_through() -> None:
    done = Standing().add(one_round("done", 0, 8, votes((A, 8)), settled=True))
    plan = plan_of({"done": done, "bad": Standing()})

    assert plan.num_open == 1
    plan.drop("bad")
    assert (plan.num_open, plan.take()) == (0, None)


def test_who_cannot_vote_in_parts_votes_again_with_more() -> None:
    standings = {"a": Standing().add(one_round("a", 0, 8, votes((A, 8))))}
    plan = Plan(standings, standings, (8, None), lambda one: 0.0, is_whole=True)

    assert plan.take() == Round("a", 0, None, is_last=True)
