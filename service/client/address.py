"""Where a service is, who asks, and how our requests and httpx's errors are turned over."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from service.client.errors import ServiceUnreachable
from service.client.exchange import Reply, Request
from service.wire.errors import ClientError

DEFAULT_URL = "http://127.0.0.1:8400"
API_KEY_NAME = "HRM_ARC_API_KEY"
CONNECT_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Address:
    """A service's address and what every request to it carries.

    Units: timeout_s is how long it may keep silent while it answers.
    """

    url: str
    timeout_s: float
    headers: Mapping[str, str] = field(repr=False)

    @classmethod
    def of(cls, url: str, api_key: str | None, timeout_s: float) -> "Address":
        """Check an address and a key; without a key, take the one in the environment.

        Raises: ClientError.
        """
        try:
            parsed = httpx.URL(url)
        except httpx.InvalidURL:
            parsed = httpx.URL("")
        if parsed.scheme not in ("http", "https") or not parsed.host:
            raise ClientError(f"{url!r} is no address of a service: give one like {DEFAULT_URL}")
        if parsed.userinfo:
            raise ClientError(
                f"the address of {parsed.host} holds a user or password: the service knows API "
                f"keys alone. Give the key as such, or in {API_KEY_NAME}"
            )
        api_key = api_key or os.environ.get(API_KEY_NAME)
        headers = {"User-Agent": "hrm-arc", "Accept": "application/json"}
        if api_key:
            if not (api_key.isascii() and api_key.isprintable()) or " " in api_key:
                raise ClientError(
                    "the API key holds a blank or a character that no header can carry: give it as "
                    "the service's operator did"
                )
            headers["Authorization"] = f"Bearer {api_key}"
        return cls(url, timeout_s, headers)

    def settings(self) -> dict[str, Any]:
        """Give what an httpx client is made with.

        Connections are not counted: as many jobs may be waited for as there are.
        """
        return {
            "base_url": self.url,
            "headers": dict(self.headers),
            "limits": httpx.Limits(max_connections=None, max_keepalive_connections=100),
        }

    def request(
        self,
        http: httpx.Client | httpx.AsyncClient,
        request: Request,
        silence_s: float | None = None,
    ) -> httpx.Request:
        """Turn a request into httpx's.

        Units: silence_s in seconds, instead of the address's own.
        """
        read_s = self.timeout_s + request.patience_s if silence_s is None else silence_s
        return http.build_request(
            request.method,
            request.path,
            params=list(request.query),
            headers=dict(request.headers),
            content=request.content,
            timeout=httpx.Timeout(
                self.timeout_s, connect=CONNECT_TIMEOUT_S, read=read_s, pool=None
            ),
        )

    def unreachable(self, error: httpx.RequestError) -> ServiceUnreachable:
        """Say that the service did not answer, and how."""
        reason = str(error) or type(error).__name__
        return ServiceUnreachable(
            f"no answer from {self.url} ({reason}): is a service running there? Start one with "
            "`hrm-arc serve`"
        )


def reply_of(response: httpx.Response) -> Reply:
    """Turn a response, already read, into a reply."""
    return Reply(response.status_code, dict(response.headers), response.content)


def is_stream(response: httpx.Response) -> bool:
    """Distinguish a stream of events from a refusal."""
    kind = response.headers.get("content-type", "")
    return response.status_code == 200 and kind.startswith("text/event-stream")
