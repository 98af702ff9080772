"""Server-sent events out of chunks."""

import pytest

from service.client.following import EventDecoder, StreamEvent

TEXT = (
    ": ping\n\n"
    "id: 1-0\nevent: state\ndata: {}\n\n"
    "id: 2-0\r\nevent: progress\r\ndata: a\r\ndata:  b\r\n\r\n"
    "retry: 3000\n\n"
    "data: \u00e9\u2028\n\n"
).encode()
EVENTS = [
    StreamEvent("1-0", "state", "{}"),
    StreamEvent("2-0", "progress", "a\n b"),
    StreamEvent("2-0", "message", "\u00e9\u2028"),
]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_events_are_the_same_however_the_stream_is_cut(size: int) -> None:
    decoder = EventDecoder()

    events = [
        event
        for start in range(0, len(TEXT), size)
        for event in decoder.feed(TEXT[start : start + size])
    ]

    assert events == EVENTS


def test_an_event_that_is_not_complete_is_held_back() -> None:
    decoder = EventDecoder()

    assert decoder.feed(b"id: 1-0\ndata: x\n") == []
    assert decoder.feed(b"\n") == [StreamEvent("1-0", "message", "x")]
