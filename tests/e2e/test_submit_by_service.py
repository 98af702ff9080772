"""`hrm-arc submit --url` and batches through a service of real processes."""

import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from challenge_files import BROKEN, UNKNOWN, known_challenges

from bench.stack import FAKE_WORKER, WORKER, Service, running, running_service
from service.client import BatchState, Client
from service.runtime.embedded import EmbeddedServer
from service.runtime.settings import PREFIX
from voting import read_submission

NUM_PUZZLES = 6
OPTIONS = ("--variants", 8, "--seed", 3)
# Bit-equal answers need the same number of slots on both roads.
SLOTS = 8


@pytest.fixture(scope="module")
def state_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where the service keeps how this processor multiplies fastest."""
    return tmp_path_factory.mktemp("state")


@pytest.fixture(scope="module")
def service(
    emptied_url: str,
    small_folder: Path,
    state_folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Service]:
    logs = tmp_path_factory.mktemp("logs")
    settings = {
        "slots": str(SLOTS),
        "allow_unverified": "false",
        "state_folder": str(state_folder),
    }
    with running_service(
        emptied_url, small_folder, logs, worker=WORKER, settings=settings
    ) as running:
        yield running


@pytest.fixture
def challenges(small_folder: Path, tmp_path: Path) -> Path:
    """Return a challenges file of known puzzles, an unknown one and a broken one."""
    path = known_challenges(small_folder, tmp_path, NUM_PUZZLES)
    document = json.loads(path.read_bytes()) | {"unknown": UNKNOWN, "broken": BROKEN}
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def test_it_writes_the_file_of_solving_here(
    hrm_arc: Any,
    service: Service,
    challenges: Path,
    small_folder: Path,
    state_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Answers are the same bits where products are computed the same way.
    monkeypatch.setenv("HRM_ARC_STATE_FOLDER", str(state_folder))
    here, there = tmp_path / "here.json", tmp_path / "there.json"
    local = ("--checkpoint", small_folder, "--slots", SLOTS)
    never = ("--adapt", "never")
    done = hrm_arc("submit", challenges, "--out", here, *OPTIONS, *never, *local)
    assert done.code == 0, done.err

    done = hrm_arc(
        "submit", challenges, "--out", there, *OPTIONS, *never, "--url", service.url, "--json"
    )

    assert done.code == 0, done.err
    assert there.read_bytes() == here.read_bytes()
    reasons = {entry["puzzle"]: entry["code"] for entry in json.loads(done.out)["unanswered"]}
    assert reasons == {"unknown": "unknown_puzzle", "broken": "invalid_task"}


def test_a_time_is_shared_out_through_a_service_too(
    hrm_arc: Any, service: Service, challenges: Path, tmp_path: Path
) -> None:
    out = tmp_path / "s.json"
    done = hrm_arc(
        *("submit", challenges, "--out", out, "--variants", 12, "--minutes", 5, "--adapt", "never"),
        *("--url", service.url, "--checkpoint", "small", "--json"),
    )

    assert done.code == 0, done.err
    assert json.loads(done.out)["answered"] == NUM_PUZZLES
    report = json.loads((tmp_path / "s.report.json").read_bytes())
    known = [entry for entry in report["per_puzzle"] if entry["answered"]]
    assert {entry["rounds"] for entry in known} == {2}


def test_a_service_that_is_not_there_leaves_a_valid_file(
    hrm_arc: Any, challenges: Path, tmp_path: Path
) -> None:
    out = tmp_path / "s.json"
    done = hrm_arc("submit", challenges, "--out", out, "--url", "http://127.0.0.1:9")

    assert done.code == 2
    assert "no answer from" in done.said
    assert len(read_submission(out)) == NUM_PUZZLES + 2


def test_a_checkpoint_that_nobody_serves_ends_the_run(
    hrm_arc: Any, service: Service, challenges: Path, tmp_path: Path
) -> None:
    done = hrm_arc(
        *("submit", challenges, "--out", tmp_path / "s.json", "--url", service.url),
        *("--checkpoint", "nobody's"),
    )

    assert done.code == 2
    assert "unknown_checkpoint" in done.said


@pytest.mark.full
def test_a_batch_of_400_ends_though_a_worker_is_restarted(
    small_folder: Path, tmp_path: Path
) -> None:
    known = list(json.loads(known_challenges(small_folder, tmp_path, 46).read_bytes()).values())
    document = {f"p{number}": known[number % len(known)] for number in range(400)}
    worker = (*FAKE_WORKER, "--step-s", "0.02", "--slots", "32")
    environment = os.environ | {
        f"{PREFIX}CHECKPOINTS": str(small_folder),
        f"{PREFIX}ALLOW_UNVERIFIED": "true",
        f"{PREFIX}DEVICE": "cpu",
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }
    with (
        EmbeddedServer(tmp_path / "state") as url,
        running_service(url, small_folder, tmp_path, worker=worker) as service,
        Client(service.url) as client,
    ):
        environment[f"{PREFIX}REDIS_URL"] = url
        with running(worker, tmp_path / "second.log", environment) as second:
            batch = client.submit_batch(document, variants=16, stop_early=False)
            deadline = time.monotonic() + 120
            while client.get_batch(batch).counts.succeeded < 20:
                assert time.monotonic() < deadline
                time.sleep(0.2)
            second.kill()
        with running(worker, tmp_path / "third.log", environment):
            ended = client.wait_batch(batch, wait_s=300)
        assert (ended.state, ended.counts.succeeded) == (BatchState.FINISHED, 400)
        submission = client.submission(batch)
    assert list(submission) == list(document)
    assert all(len(submission[name]) == len(entry["test"]) for name, entry in document.items())
