"""Bodies: read with a limit, and never more of them than the limit."""

import asyncio
from typing import Final

from starlette.requests import Request

from service.api.problems import Problem, Refused

JSON_TYPE: Final = "application/json"
# A body must arrive within the grace, and what its bytes so far add at this rate.
GRACE_S: Final = 20.0
MIN_BYTES_PER_S: Final = 10_000


async def read_json_body(
    request: Request, max_bytes: int, hint: str = "Send each puzzle in a request of its own"
) -> bytes:
    """Read a body that says it is JSON, stopping at the limit whatever its length claims.

    `hint` says what to do about one that is too large.

    Raises: Refused (408, 413, 415).
    """
    _check_type(request)
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length[:20]) > max_bytes:
        raise _too_large(max_bytes, hint)
    chunks = bytearray()
    started = asyncio.get_running_loop().time()
    try:
        async with asyncio.timeout(GRACE_S) as limit:
            async for chunk in request.stream():
                chunks += chunk
                if len(chunks) > max_bytes:
                    raise _too_large(max_bytes, hint)
                limit.reschedule(started + GRACE_S + len(chunks) / MIN_BYTES_PER_S)
    except TimeoutError:
        raise _too_slow(len(chunks)) from None
    return bytes(chunks)


def _check_type(request: Request) -> None:
    # A body without a type is refused too: a web page of a stranger can send that to a service on
    # this machine without asking, JSON it cannot.
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != JSON_TYPE:
        said = media_type[:80] or "nothing"
        raise Refused(
            Problem(
                "unsupported_media_type",
                f"Content-Type says {said!r}: send `Content-Type: {JSON_TYPE}`",
                headers={"Accept": JSON_TYPE},
            )
        )
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding != "identity":
        raise Refused(
            Problem(
                "unsupported_media_type",
                f"Content-Encoding {encoding[:80]!r} is not read here: send the JSON as it is",
                headers={"Accept-Encoding": "identity"},
            )
        )


def _too_slow(num_bytes: int) -> Refused:
    return Refused(
        Problem(
            "request_timeout",
            f"{num_bytes:,} bytes of the body have arrived, slower than {MIN_BYTES_PER_S:,} bytes "
            "a second",
            headers={"Connection": "close"},
        )
    )


def _too_large(max_bytes: int, hint: str) -> Refused:
    return Refused(
        Problem(
            "body_too_large",
            f"the body is larger than {max_bytes:,} bytes; one puzzle takes some thousands. {hint}",
            # The rest of the body is not read, so nothing else can come through this connection.
            headers={"Connection": "close"},
        )
    )
