"""Who may call: the owner by API key and, where no key is needed, the service's names in `Host`."""

import re
from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from service.api.problems import Problem
from service.runtime.key_ring import LOCAL_OWNER, KeyRing
from service.runtime.settings import PREFIX, Settings, parse_address

_HOST: Final = re.compile(r"(?:\[(?P<address>[^\]]+)\]|(?P<name>[^:]+))(?::[0-9]*)?")


def owner_of(headers: Headers, keys: KeyRing) -> str:
    """Return the owner of a request: `local` for every request where there are no keys.

    Raises: Problem where a key is needed and none that fits is shown.
    """
    if not keys.keys:
        return LOCAL_OWNER
    shown = _shown_key(headers)
    if shown is None:
        raise _refusal("send an API key, as `Authorization: Bearer KEY`")
    owner = keys.owner_of(shown)
    if owner is None:
        raise _refusal("API key not recognised: check it, it may have been replaced")
    return owner


def _shown_key(headers: Headers) -> str | None:
    scheme, _, credentials = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and credentials.strip():
        return credentials.strip()
    return headers.get("x-api-key")


def _refusal(detail: str) -> Problem:
    return Problem("unauthorized", detail, headers={"WWW-Authenticate": 'Bearer realm="hrm-arc"'})


class KnownHosts:
    """Wraps the app and refuses requests with a `Host` that is none of the service's names.

    A foreign web page may let its own name lead to this machine (DNS rebinding), and is then of the
    same origin as the service: only the name in `Host` gives it away.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        names = ("localhost", settings.host, *settings.allowed_hosts)
        self._names = frozenset(_normalised(name) for name in names)
        # A service that listens on all addresses has any of them. One that is written out as an
        # address comes from no DNS.
        listens_on = parse_address(settings.host)
        self._takes_addresses = listens_on is not None and listens_on.is_unspecified

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http":
            host = Headers(scope=scope).get("host", "")
            if not self._knows(host):
                await _unknown_host(host).response()(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _knows(self, header: str) -> bool:
        found = _HOST.fullmatch(header)
        if found is None:
            return False
        host = found["address"] or found["name"]
        address = parse_address(host)
        if address is not None and (address.is_loopback or self._takes_addresses):
            return True
        return _normalised(host) in self._names


def _normalised(host: str) -> str:
    address = parse_address(host)
    return host.lower() if address is None else str(address)


def _unknown_host(host: str) -> Problem:
    return Problem(
        "unknown_host",
        f"Host says {host[:80]!r}, which is none of the names of this service: call it by its "
        f"address, or add the name to {PREFIX}ALLOWED_HOSTS",
    )
