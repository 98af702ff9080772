"""How many connections the API's process may have, by its limit of open files."""

import resource

import pytest
from structlog.testing import capture_logs

from service.api import server

INFINITE = resource.RLIM_INFINITY


@pytest.mark.parametrize(
    ("soft", "hard", "raised_to", "num_connections"),
    [
        (2_000, 4_000, None, 1_000),
        (INFINITE, INFINITE, None, 1_000),
        (1_024, 4_000, 1_256, 1_000),
        (1_024, INFINITE, 1_256, 1_000),
        (512, 1_024, 1_024, 768),
        (100, 100, 100, 1),
    ],
)
def test_the_limit_of_open_files_is_raised_or_connections_are_fewer(
    monkeypatch: pytest.MonkeyPatch,
    soft: int,
    hard: int,
    raised_to: int | None,
    num_connections: int,
) -> None:
    raised: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: raised.append(limits))
    with capture_logs() as logs:
        assert server._num_connections(1_000) == num_connections
    assert raised == ([] if raised_to is None else [(raised_to, hard)])
    assert bool(logs) == (num_connections < 1_000)
