"""A command loads what it needs, and no other command's."""

import json
import os
import subprocess
import sys

import pytest

from service.cli.main import COMMANDS, load_command

# Runs commands one after the other in one process, and tells what is loaded after each.
PROGRAM = """
import contextlib, io, json, sys
from service.cli import main

heavy = ("torch", "numpy", "fastapi", "redis", "pydantic", "httpx")
loaded = {}
for command in json.loads(sys.argv[1]):
    sys.argv = ["hrm-arc", *command.split()]
    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):
        main()
    loaded[command] = [name for name in heavy if name in sys.modules]
print(json.dumps(loaded))
"""


def loaded_after(*commands: str) -> dict[str, list[str]]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(commands)],
        capture_output=True,
        text=True,
        check=True,
    )
    loaded: dict[str, list[str]] = json.loads(done.stdout)
    return loaded


def test_torch_is_loaded_by_no_command_that_does_not_compute() -> None:
    loaded = loaded_after(
        "--help",
        "score nowhere.json nowhere.json",
        "serve --host 0.0.0.0",
        "worker --checkpoints nowhere",
        "api",
        "jobs --help",
    )

    assert loaded["--help"] == []
    assert all("torch" not in modules for modules in loaded.values()), loaded
    assert "fastapi" not in loaded["serve --host 0.0.0.0"]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_in_the_list_can_be_loaded(name: str) -> None:
    command = load_command(name)

    assert command.name == name or name in ("jobs", "checkpoints", "adapted")
    assert command.help


@pytest.mark.parametrize(("given", "expected"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_threads_that_wait_leave_the_cores_to_others(given: str | None, expected: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    if given is not None:
        environment["OMP_WAIT_POLICY"] = given
    program = PROGRAM.replace("json.dumps(loaded)", "__import__('os').environ['OMP_WAIT_POLICY']")

    done = subprocess.run(
        [sys.executable, "-c", program, '["--help"]'],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )

    assert done.stdout.strip() == expected
