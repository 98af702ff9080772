"""The text of server-sent events, chunk by chunk.

The libraries at hand hide comments, which are all that comes while a job waits in the queue: a
reader that sees only events cannot look at its clock in between.

Source: https://html.spec.whatwg.org/multipage/server-sent-events.html, 9.2.6.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StreamEvent:
    """One event; `id` is the last one the stream has named."""

    id: str
    kind: str
    data: str


class EventDecoder:
    """Puts events together from the chunks of one stream."""

    def __init__(self) -> None:
        self._rest = b""
        self._id = ""
        self._kind = ""
        self._data: list[str] = []

    def feed(self, chunk: bytes) -> list[StreamEvent]:
        """Take a chunk; gives the events it completes."""
        lines = (self._rest + chunk).splitlines(keepends=True)
        # A carriage return may be the first half of a line's end.
        self._rest = lines.pop() if lines and not lines[-1].endswith(b"\n") else b""
        events = []
        for line in lines:
            event = self._take(line.rstrip(b"\r\n").decode("utf-8", "replace"))
            if event is not None:
                events.append(event)
        return events

    def _take(self, line: str) -> StreamEvent | None:
        if not line:
            event = StreamEvent(self._id, self._kind or "message", "\n".join(self._data))
            is_event = bool(self._data)
            self._kind, self._data = "", []
            return event if is_event else None
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "id" and "\0" not in value:
            self._id = value
        elif name == "event":
            self._kind = value
        elif name == "data":
            self._data.append(value)
        return None
