"""`hrm-arc load`: jobs sent to a running service, with what became of them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.stack import FAKE_WORKER, running_service


@pytest.fixture(scope="module")
def url(
    valkey_url: str, small_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("load")
    worker = (*FAKE_WORKER, "--step-s", "0.05")
    with running_service(valkey_url, small_folder, folder, worker=worker) as service:
        yield service.url


def test_known_puzzles_are_sent_and_timed(hrm_arc: Any, url: str) -> None:
    done = hrm_arc("load", "--url", url, "--jobs", 6, "--concurrency", 3, "--variants", 4, "--json")

    found = json.loads(done.out)
    assert done.code == 0, done.said
    assert (found["jobs"], found["answered"], found["errors"]) == (6, 6, {})
    assert found["answers_per_s"] == pytest.approx(6 / found["seconds"], rel=0.01)
    for name in ("queue_s", "first_event_s", "total_s"):
        times = found[name]
        assert times["p50"] <= times["p90"] <= times["p99"] <= times["max"] <= found["seconds"]
    assert found["total_s"]["p50"] >= 0.05
    assert found["total_s"]["mean"] >= found["first_event_s"]["mean"]


def test_what_is_not_answered_is_counted_by_its_code(hrm_arc: Any, url: str) -> None:
    done = hrm_arc(
        *("load", "--url", url, "--tasks", "examples/6150a2bd.json"),
        *("--checkpoint", "absent", "--jobs", 3),
    )

    assert done.code == 1
    assert "0 of 3 jobs answered" in done.out
    assert "3 ended with unknown_checkpoint" in done.out


def test_it_goes_on_for_the_seconds_given(hrm_arc: Any, url: str) -> None:
    done = hrm_arc("load", "--url", url, "--seconds", 0.5, "--concurrency", 1, "--json")

    found = json.loads(done.out)
    assert found["seconds"] >= 0.5
    assert found["answered"] == found["jobs"] >= 1


def test_jobs_and_seconds_exclude_each_other(hrm_arc: Any, url: str) -> None:
    done = hrm_arc("load", "--url", url, "--jobs", 1, "--seconds", 1)

    assert done.code == 2
    assert "exclude each other" in done.said
