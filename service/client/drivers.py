"""Where a service is, who asks, and the drivers that take the steps of operations through httpx."""

import asyncio
import inspect
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack
from typing import Any, Generic, Self, TypeVar, cast

import httpx

from service.client.errors import ServiceUnreachable
from service.client.exchange import (
    Effect,
    Emit,
    HangUp,
    Listen,
    NextChunk,
    Pause,
    Report,
    Retries,
    Send,
    Steps,
)
from service.client.messages import Request
from service.wire.errors import ClientError

DEFAULT_URL = "http://127.0.0.1:8400"
API_KEY_NAME = "HRM_ARC_API_KEY"
CONNECT_TIMEOUT_S = 10.0

T = TypeVar("T")
Http = TypeVar("Http", httpx.Client, httpx.AsyncClient)


class Driver(Generic[Http]):
    """What the drivers have in common: a service's address, who asks, and httpx's client.

    Raises: ClientError for an address or a key that cannot be used.
    """

    http_class: type[Http]

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
        api_key: str | None = None,
        timeout_s: float = 30.0,
        retries: Retries | None = None,
    ) -> None:
        _check_url(url)
        self._url = url
        self._timeout_s = timeout_s
        self._retries = retries or Retries()
        self._clock: Callable[[], float] = time.monotonic
        # Connections are not counted: as many jobs may be waited for as there are.
        self._http: Http = self.http_class(
            base_url=url,
            headers=_headers(api_key or os.environ.get(API_KEY_NAME)),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=100),
        )

    def _prepare(self, request: Request, silence_s: float | None = None) -> httpx.Request:
        """Turn a request into httpx's.

        Units: silence_s in seconds, instead of the usual time.
        """
        read_s = self._timeout_s + request.patience_s if silence_s is None else silence_s
        return self._http.build_request(
            request.method,
            request.path,
            params=list(request.query),
            headers=dict(request.headers),
            content=request.content,
            timeout=httpx.Timeout(
                self._timeout_s, connect=CONNECT_TIMEOUT_S, read=read_s, pool=None
            ),
        )

    def _unreachable(self, error: httpx.RequestError) -> ServiceUnreachable:
        """Say that the service did not answer, and how."""
        reason = str(error) or type(error).__name__
        return ServiceUnreachable(
            f"no answer from {self._url} ({reason}): is a service running there? Start one with "
            "`hrm-arc serve`"
        )


class BlockingDriver(Driver[httpx.Client]):
    """Takes steps and blocks until they are done; a context that closes its connections."""

    http_class = httpx.Client

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _take(self, steps: Steps[T]) -> T:
        """Take the steps of an operation and return its value."""
        (value,) = self._iterate(_emitting(steps))
        return cast(T, value)

    def _iterate(self, steps: Steps[None]) -> Iterator[Any]:
        """Take the steps of an operation and yield what it emits; closed early, it hangs up."""
        with ExitStack() as stack:
            outcome: Any = None
            while effect := _next_effect(steps, outcome):
                if isinstance(effect, Emit):
                    outcome = None
                    yield effect.value
                    continue
                try:
                    outcome = self._perform(effect, stack)
                except httpx.RequestError as failure:
                    outcome = self._unreachable(failure)

    def _perform(self, effect: Effect, stack: ExitStack) -> Any:
        match effect:
            case Send(request):
                return self._http.send(self._prepare(request))
            case Listen(request, silence_s):
                prepared = self._prepare(request, silence_s)
                response = self._http.send(prepared, stream=True)
                stack.callback(response.close)
                return response.iter_bytes() if _is_stream(response) else None
            case NextChunk(chunks):
                return next(chunks, None)
            case HangUp():
                stack.close()
            case Pause(seconds):
                time.sleep(seconds)
            case Report(listener, progress):
                listener(progress)
        return None


class AsyncDriver(Driver[httpx.AsyncClient]):
    """Takes steps as `BlockingDriver` does, for asyncio."""

    http_class = httpx.AsyncClient

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _take(self, steps: Steps[T]) -> T:
        """Take the steps of an operation and return its value."""
        (value,) = [value async for value in self._iterate(_emitting(steps))]
        return cast(T, value)

    async def _iterate(self, steps: Steps[None]) -> AsyncIterator[Any]:
        """Take the steps of an operation and yield what it emits; closed early, it hangs up."""
        async with AsyncExitStack() as stack:
            outcome: Any = None
            while effect := _next_effect(steps, outcome):
                if isinstance(effect, Emit):
                    outcome = None
                    yield effect.value
                    continue
                try:
                    outcome = await self._perform(effect, stack)
                except httpx.RequestError as failure:
                    outcome = self._unreachable(failure)

    async def _perform(self, effect: Effect, stack: AsyncExitStack) -> Any:
        match effect:
            case Send(request):
                return await self._http.send(self._prepare(request))
            case Listen(request, silence_s):
                prepared = self._prepare(request, silence_s)
                response = await self._http.send(prepared, stream=True)
                stack.push_async_callback(response.aclose)
                return response.aiter_bytes() if _is_stream(response) else None
            case NextChunk(chunks):
                return await anext(chunks, None)
            case HangUp():
                await stack.aclose()
            case Pause(seconds):
                await asyncio.sleep(seconds)
            case Report(listener, progress):
                pending = listener(progress)
                if inspect.isawaitable(pending):
                    await pending
        return None


def _emitting(steps: Steps[T]) -> Steps[None]:
    """Turn the value of an operation into what it emits last."""
    yield Emit((yield from steps))


def _next_effect(steps: Steps[None], outcome: Any) -> Effect | None:
    """Return what an operation asks for next; None at its end."""
    try:
        return steps.throw(outcome) if isinstance(outcome, Exception) else steps.send(outcome)
    except StopIteration:
        return None


def _is_stream(response: httpx.Response) -> bool:
    """Distinguish a stream of events from a refusal."""
    kind = response.headers.get("content-type", "")
    return response.status_code == 200 and kind.startswith("text/event-stream")


def _check_url(url: str) -> None:
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        parsed = httpx.URL("")
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ClientError(f"{url!r} is not the address of a service: give one like {DEFAULT_URL}")
    if parsed.userinfo:
        raise ClientError(
            f"the address of {parsed.host} holds a user or password: the service knows API "
            f"keys alone. Give the key as such, or in {API_KEY_NAME}"
        )


def _headers(api_key: str | None) -> dict[str, str]:
    """Return what every request carries."""
    headers = {"User-Agent": "hrm-arc", "Accept": "application/json"}
    if api_key:
        if not (api_key.isascii() and api_key.isprintable()) or " " in api_key:
            raise ClientError(
                "the API key holds a blank or a character that no header can carry: give it as "
                "the service's operator did"
            )
        headers["Authorization"] = f"Bearer {api_key}"
    return headers
