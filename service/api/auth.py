"""Who is calling, by the API key that a request shows."""

from starlette.datastructures import Headers

from service.api.problems import Problem, Refused
from service.runtime.key_ring import LOCAL_OWNER, KeyRing


def owner_of(headers: Headers, keys: KeyRing) -> str:
    """Return the owner of a request: `local` for every request where there are no keys.

    Raises: Refused where a key is needed and none that fits is shown.
    """
    if not keys.keys:
        return LOCAL_OWNER
    shown = _shown_key(headers)
    if shown is None:
        raise _refusal("send an API key, as `Authorization: Bearer KEY`")
    owner = keys.owner_of(shown)
    if owner is None:
        raise _refusal("this API key opens nothing here: check it, it may have been replaced")
    return owner


def _shown_key(headers: Headers) -> str | None:
    scheme, _, credentials = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and credentials.strip():
        return credentials.strip()
    return headers.get("x-api-key")


def _refusal(detail: str) -> Refused:
    return Refused(
        Problem("unauthorized", detail, headers={"WWW-Authenticate": 'Bearer realm="hrm-arc"'})
    )
