"""Samples for a calibration: made without test outputs, resumable, and enough for a fit."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from augment import Grid, Pair, Puzzle, Task, parse_task, task_document
from hrm_core import open_checkpoint
from service.adaptation.confidence_fit import (
    Sample,
    fit_calibration,
    read_sample_file,
    read_samples,
    write_samples,
)
from service.adaptation.confidence_samples import (
    SampleCollection,
    reduce_puzzles,
    thin_tally,
)
from service.adaptation.prepare import AdaptOptions
from service.cli.calibrate import calibrate_command
from service.solving.confidence import CONFIDENCE_NAME, AttemptFeatures, Road
from service.solving.enrolment import RowIndex
from service.wire.errors import AdaptationError, InputError
from voting import Q_ONE, GridVotes, Tally

pytestmark = pytest.mark.usefixtures("one_thread")

RECIPE = AdaptOptions(steps=12, num_variants=4, batch_size=8)
RIGHT, WRONG, OTHER = (Grid.from_rows([[colour]]) for colour in (1, 2, 3))


@pytest.fixture
def puzzles(constant_tasks: tuple[Task, ...]) -> list[Puzzle]:
    return [task.puzzle for task in constant_tasks]


def collection_of(
    base: RowIndex,
    puzzles: Sequence[Puzzle],
    folder: Path,
    road: Road = "adapted",
    recipe: AdaptOptions = RECIPE,
) -> SampleCollection:
    reduced = reduce_puzzles(base, puzzles)
    return SampleCollection(
        base, reduced, road, folder, recipe, device="cpu", num_threads=1, say=lambda line: None
    )


def features(rng: np.random.Generator, share: float) -> AttemptFeatures:
    return AttemptFeatures(
        share=share,
        lead=share * rng.random(),
        is_first=1.0,
        log_votes=float(rng.uniform(1, 4)),
        abstained_share=float(rng.random()),
        mean_q=float(rng.random()),
        held_out_share=0.0,
        has_held_out=0.0,
        equals_input=0.0,
        is_trained=0.0,
    )


def synthetic_samples(num: int, seed: int = 0) -> list[Sample]:
    """Draw samples that are right half as often as their share of the votes says."""
    rng = np.random.default_rng(seed)
    samples = []
    for index in range(num):
        share = float(rng.uniform(0.05, 1.0))
        samples.append(
            Sample(
                checkpoint_sha256="abc",
                puzzle=f"puzzle {index}",
                road="adapted",
                point=1.0,
                kept_share=1.0,
                rank=1,
                is_known=index % 2 == 0,
                features=features(rng, share),
                is_right=bool(rng.random() < share / 2),
            )
        )
    return samples


def test_the_last_demonstration_is_held_out_of_puzzles_that_have_three(
    tiny_row_index: RowIndex, puzzles: list[Puzzle]
) -> None:
    first = puzzles[0]
    short = replace(first, name="short", train=first.train[:2])
    doubled = replace(first, name="doubled", train=(*first.train[:2], first.train[0]))
    large = Grid.from_rows([[0] * 4])
    too_large = replace(first, name="large", train=(*first.train, Pair(large, RIGHT)))
    unknown = replace(first, name="unknown", train=(*first.train, Pair(RIGHT, WRONG)))
    reduced = reduce_puzzles(tiny_row_index, [first, short, doubled, too_large, unknown])
    assert [(one.puzzle.name, one.is_known) for one in reduced] == [
        (first.name, True),
        ("unknown", False),
    ]
    assert reduced[0].puzzle.train == first.train[:2]
    assert reduced[0].puzzle.test == (first.train[2].input,)
    assert reduced[0].expected == first.train[2].output


@pytest.mark.parametrize("road", ["adapted", "trained"])
def test_each_point_gives_samples_of_whole_and_thinned_votes(
    tiny_row_index: RowIndex, puzzles: list[Puzzle], tmp_path: Path, road: Road
) -> None:
    trunk_before = {k: v.clone() for k, v in tiny_row_index.checkpoint.trunk.items()}
    assert collection_of(tiny_row_index, puzzles, tmp_path, road).collect()
    names = sorted(path.name for path in tmp_path.glob("*.jsonl"))
    assert names == [f"samples-{road}-{point}.jsonl" for point in ("0.33", "0.67", "1.00")]
    samples = read_samples(tmp_path)
    assert {sample.road for sample in samples} == {road}
    assert {sample.kept_share for sample in samples} == {1.0, 0.25}
    assert {sample.rank for sample in samples} <= {1, 2}
    assert all(sample.is_known for sample in samples)
    assert all(sample.features.is_trained == float(road == "trained") for sample in samples)
    adapted = open_checkpoint(tmp_path / f"adapted-{road}")
    is_unchanged = all(
        bool((adapted.trunk[name] == value).all()) for name, value in trunk_before.items()
    )
    assert is_unchanged == (road == "trained")


def test_a_puzzles_own_held_out_share_is_known_at_every_point(
    tiny_row_index: RowIndex, puzzles: list[Puzzle], tmp_path: Path
) -> None:
    four = replace(puzzles[0], train=(*puzzles[0].train, Pair(RIGHT, puzzles[0].train[0].output)))
    assert collection_of(tiny_row_index, [four, puzzles[1]], tmp_path).collect()
    shares: dict[str, list[float]] = {}
    for sample in read_samples(tmp_path):
        # Without a fourth demonstration, too few are left to hold another one out.
        assert sample.features.has_held_out == float(sample.puzzle == four.name)
        shares.setdefault(f"{sample.puzzle} {sample.point}", []).append(
            sample.features.held_out_share
        )
    assert all(len(set(mine)) == 1 for mine in shares.values())
    assert shares[f"{four.name} 1.0"][0] == shares[f"{four.name} 0.6667"][0]


def test_a_stopped_collection_ends_like_one_that_was_not(
    tiny_row_index: RowIndex, puzzles: list[Puzzle], tmp_path: Path
) -> None:
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    assert collection_of(tiny_row_index, puzzles, whole).collect()
    asked = 0

    def should_stop() -> bool:
        nonlocal asked
        asked += 1
        return asked == 6  # after the first point

    assert not collection_of(tiny_row_index, puzzles, stopped).collect(should_stop)
    assert [path.name for path in stopped.glob("*.jsonl")] == ["samples-adapted-0.33.jsonl"]
    assert collection_of(tiny_row_index, puzzles, stopped).collect()
    for path in whole.glob("*.jsonl"):
        assert (stopped / path.name).read_bytes() == path.read_bytes()
    (stopped / "samples-adapted-1.00.jsonl").unlink()
    assert collection_of(tiny_row_index, puzzles, stopped).collect()
    assert read_samples(stopped) == read_samples(whole)


def test_another_budget_and_puzzles_that_cannot_serve_are_refused(
    tiny_row_index: RowIndex, puzzles: list[Puzzle], tmp_path: Path
) -> None:
    assert collection_of(tiny_row_index, puzzles[:2], tmp_path).collect()
    more = replace(RECIPE, steps=24)
    with pytest.raises(AdaptationError, match="budget"):
        collection_of(tiny_row_index, puzzles[:2], tmp_path, recipe=more).collect()
    unknown = replace(puzzles[0], train=(*puzzles[0].train, Pair(RIGHT, WRONG)))
    with pytest.raises(InputError, match="has rows for"):
        collection_of(tiny_row_index, [unknown], tmp_path, "trained")


def test_test_outputs_have_no_part_in_it(
    tiny_copy: Path,
    constant_tasks: tuple[Task, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("service.adaptation.confidence_fit.MIN_OUTCOMES", 1)
    made = []
    for name in ("true", "poisoned"):
        tasks = tmp_path / name
        tasks.mkdir()
        for task in constant_tasks:
            document = task_document(task)
            if name == "poisoned":
                for test in document["test"]:
                    test["output"] = [[0, 9], [9, 0]]
            parsed = parse_task(document, task.puzzle.name)
            assert (parsed.expected == task.expected) == (name == "true")
            (tasks / f"{task.puzzle.name}.json").write_text(json.dumps(document))
        work = tmp_path / f"work-{name}"
        calibrate_command(
            tiny_copy,
            work,
            [str(tasks)],
            steps=40,
            variants=4,
            batch_size=16,
            device="cpu",
            threads=1,
        )
        samples = [path.read_bytes() for path in sorted(work.glob("*.jsonl"))]
        assert len(samples) == 6
        document = json.loads((tiny_copy / CONFIDENCE_NAME).read_bytes())
        for adaptation in document["fitted"]["adaptations"].values():
            adaptation.pop("seconds")  # measured
        made.append((samples, document))
        (tiny_copy / CONFIDENCE_NAME).unlink()
    assert made[0] == made[1]


def test_the_fit_is_repeated_from_samples_alone(tiny_copy: Path, tmp_path: Path) -> None:
    sha256 = open_checkpoint(tiny_copy).sha256
    samples = [
        one.model_copy(update={"checkpoint_sha256": sha256}) for one in synthetic_samples(600)
    ]
    write_samples(tmp_path / "samples-adapted-1.00.jsonl", samples)
    calibrate_command(tiny_copy, tmp_path)
    first = (tiny_copy / CONFIDENCE_NAME).read_bytes()
    calibrate_command(tiny_copy, tmp_path)
    assert (tiny_copy / CONFIDENCE_NAME).read_bytes() == first
    assert RowIndex(open_checkpoint(tiny_copy)).calibration is not None
    write_samples(tmp_path / "samples-adapted-1.00.jsonl", synthetic_samples(600))
    with pytest.raises(InputError, match="another checkpoint"):
        calibrate_command(tiny_copy, tmp_path)


def test_confidence_is_better_calibrated_than_votes() -> None:
    calibration = fit_calibration(synthetic_samples(3000), {"method": "made up"})
    checked = calibration.cross_validation.first_attempts
    assert checked.samples == 3000
    assert checked.calibration_error < 0.04
    assert checked.votes_calibration_error > 0.2
    assert checked.brier < checked.votes_brier
    road = calibration.roads["adapted"]
    assert (road.samples, road.puzzles, road.known_puzzles) == (3000, 3000, 1500)
    assert "trained" not in calibration.roads


def test_too_few_samples_and_damaged_ones_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="at least 20"):
        fit_calibration(synthetic_samples(30), {})
    with pytest.raises(InputError, match="holds no samples"):
        read_samples(tmp_path)
    path = tmp_path / "samples-adapted-1.00.jsonl"
    write_samples(path, synthetic_samples(3))
    assert read_sample_file(path) == tuple(synthetic_samples(3))
    path.write_text(path.read_text()[:-20])
    with pytest.raises(InputError, match="line 3"):
        read_samples(tmp_path)
    two = [
        *synthetic_samples(50),
        synthetic_samples(1)[0].model_copy(update={"checkpoint_sha256": "other"}),
    ]
    with pytest.raises(InputError, match="2 checkpoints"):
        fit_calibration(two, {})


@pytest.mark.parametrize("abstained", [0, 10])
def test_a_thinned_tally_is_a_draw_of_its_ballots(abstained: int) -> None:
    votes = [GridVotes(RIGHT, 60, 30 * Q_ONE), GridVotes(WRONG, 20, 5 * Q_ONE)]
    tally = Tally.of([*votes, GridVotes(OTHER, 1, 0)], abstained)
    thinned = thin_tally(tally, 0.25, seed=3)
    assert thinned.num_ballots == round(0.25 * tally.num_ballots)
    assert thin_tally(tally, 0.25, seed=3) == thinned
    means = {entry.grid: entry.mean_q_halt for entry in tally.entries}
    for entry in thinned.entries:
        assert entry.mean_q_halt == pytest.approx(means[entry.grid])
    draws = [thin_tally(tally, 0.25, seed) for seed in range(200)]
    counts = [next(e.count for e in one.entries if e.grid == RIGHT) for one in draws]
    assert np.mean(counts) == pytest.approx(15, abs=0.6)
    assert thin_tally(Tally.empty(), 0.25, seed=0) == Tally.empty()
