"""`Prefer`: wishes about waiting are read, and what cannot be read is passed over."""

import pytest

from service.api.routes.solve import Patience, read_patience


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], Patience(60, None)),
        (["wait=10"], Patience(10, "wait=10")),
        (["WAIT = 10"], Patience(10, "wait=10")),
        (['wait="7"'], Patience(7, "wait=7")),
        (["wait=0"], Patience(0, "wait=0")),
        (["wait=100000"], Patience(300, "wait=300")),
        (["respond-async"], Patience(0, "respond-async")),
        (["respond-async, wait=5"], Patience(5, "respond-async, wait=5")),
        (["respond-async", "wait=5"], Patience(5, "respond-async, wait=5")),
        (["wait=5, wait=9"], Patience(5, "wait=5")),
        (["handling=lenient; x=1, wait=3"], Patience(3, "wait=3")),
        (['return="a, wait=9", wait=4'], Patience(4, "wait=4")),
        (["wait=-1"], Patience(60, None)),
        (["wait=1.5"], Patience(60, None)),
        (["wait=ten"], Patience(60, None)),
        (["wait=99999999999999999999"], Patience(60, None)),
        (["wait"], Patience(60, None)),
        (["", ",,;="], Patience(60, None)),
        (['"unclosed, wait=8'], Patience(8, "wait=8")),
    ],
)
def test_patience_is_read(values: list[str], expected: Patience) -> None:
    assert read_patience(values, default_s=60, longest_s=300) == expected


def test_a_hostile_header_is_read_at_once() -> None:
    assert read_patience([" ,;" * 20_000 + "wait=2"], default_s=60, longest_s=300).wait_s in (2, 60)


def test_what_was_honoured_is_reported() -> None:
    assert Patience(5, "wait=5").headers == {"Preference-Applied": "wait=5"}
    assert Patience(5, None).headers == {}
