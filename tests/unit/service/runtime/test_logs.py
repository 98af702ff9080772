"""Logs: one line an event, whoever wrote it, and no secret in any."""

import json
import subprocess
import sys

import pytest

from service.runtime.logs import mask_url

# A process of its own: logging is set up once for a whole process.
PROGRAM = """
import logging, sys, threading, structlog
from service.runtime.logs import configure_logging
from service.runtime.settings import Settings

configure_logging(
    Settings.load(
        api_keys='me:k3y-of-"mine",an0ther',
        redis_url="redis://user:pa%23ss@host:6379/0",
        log_level="info",
        log_format=sys.argv[1],
    ),
    "worker",
)
log = structlog.get_logger("ours")
with structlog.contextvars.bound_contextvars(job_id="job-1"):
    log.info("claimed", attempt=2)
    logging.getLogger("uvicorn.error").warning("theirs %d", 3, extra={"color_message": "c"})
log.debug("never")
log.info("after")
threading.Thread(target=lambda: log.info("from a thread")).start()
log.info("secrets", key='k3y-of-"mine"', header="Bearer an0ther", url="redis://:other@else/1",
         both="pa#ss pa%23ss")
try:
    password = "pa#ss"
    raise RuntimeError("cannot connect to redis://user:pa%23ss@host:6379/0")
except RuntimeError:
    log.exception("failed")
"""


def logged(log_format: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, log_format], capture_output=True, text=True, check=True
    )
    assert done.stdout == ""
    return done.stderr


def test_every_line_is_an_object_with_its_job_and_part() -> None:
    lines = [json.loads(line) for line in logged("json").splitlines()]

    assert [line["message"] for line in lines] == [
        "claimed",
        "theirs 3",
        "after",
        "from a thread",
        "secrets",
        "failed",
    ]
    assert all(line["part"] == "worker" for line in lines)
    assert [line.get("job_id") for line in lines[:4]] == ["job-1", "job-1", None, None]
    assert (lines[0]["attempt"], lines[0]["level"], lines[0]["logger"]) == (2, "info", "ours")
    assert (lines[1]["level"], lines[1]["logger"]) == ("warning", "uvicorn.error")
    assert "color_message" not in lines[1]
    assert list(lines[0])[:3] == ["timestamp", "level", "message"]
    assert "RuntimeError: cannot connect" in lines[-1]["exception"]


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_secrets_are_masked_wherever_they_stand(log_format: str) -> None:
    text = logged(log_format)

    assert "redis://user:***@host:6379/0" in text
    assert "redis://:***@else/1" in text
    assert "Bearer ***" in text
    for secret in ("k3y-of", "an0ther", "pa#ss", "pa%23ss", ":other@"):
        assert secret not in text


def test_a_url_to_be_shown_has_no_password() -> None:
    assert mask_url("rediss://u:p@h:1/0") == "rediss://u:***@h:1/0"
    assert mask_url("redis://:a:b@h") == "redis://:***@h"
    assert mask_url("unix:///run/valkey.sock") == "unix:///run/valkey.sock"
    assert mask_url("http://h:80/a@b") == "http://h:80/a@b"
