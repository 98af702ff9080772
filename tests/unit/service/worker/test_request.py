"""What a job asks for, as the worker reads it."""

from collections.abc import Callable
from typing import Any

import pytest

from augment import Puzzle
from service.jobs import Job
from service.wire.errors import InputError
from service.worker.job_table import read_request


def test_without_options_one_checkpoint_votes_and_one_without_rows_is_adapted(
    job_of: Callable[..., Job], probes: tuple[Puzzle, ...]
) -> None:
    options = read_request(job_of(probes[0])).options
    assert (options.checkpoint, options.ensemble, options.adapt) == (None, (), "auto")
    assert (options.adapt_s, options.adapt_steps, options.adapt_variants) == (None, None, None)


def test_an_ensemble_and_the_budget_of_an_adaptation_are_read(
    job_of: Callable[..., Job], probes: tuple[Puzzle, ...]
) -> None:
    budget = {"adapt": "auto", "adapt_s": 1.5, "adapt_steps": 7, "adapt_variants": 8}
    options = read_request(job_of(probes[0], checkpoint="a", ensemble=["b", "c"], **budget)).options
    assert (options.checkpoint, options.ensemble) == ("a", ("b", "c"))
    assert {name: getattr(options, name) for name in budget} == budget


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ensemble", ["x"] * 8),
        ("ensemble", "x"),
        ("adapt", "sometimes"),
        ("adapt_s", 0.0),
        ("adapt_steps", 0),
        ("adapt_steps", 10**9),
        ("adapt_variants", 1001),
        ("adaptation", True),
    ],
)
def test_an_option_of_no_use_is_refused_by_name(
    job_of: Callable[..., Job], probes: tuple[Puzzle, ...], name: str, value: Any
) -> None:
    with pytest.raises(InputError, match=f"^option {name}"):
        read_request(job_of(probes[0], **{name: value}))
