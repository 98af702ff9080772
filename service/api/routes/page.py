"""`GET /`: the page, and under `/web/` what it is made of. Open to all: the page asks for a key."""

from typing import Final

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from service.api.context import Opened
from service.api.page import INDEX, Page

# Everything the page loads and talks to is here; scripts cannot make scripts out of text.
POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
_HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    # Kept, but asked about each time: a service that was updated must not meet an old half of it.
    "Cache-Control": "no-cache",
}

router = APIRouter(include_in_schema=False)


@router.api_route("/", methods=["GET", "HEAD"])
async def get_page(request: Request, context: Opened) -> Response:
    """Give the page. Needs no key."""
    return _answer(request, context.page, INDEX)


@router.api_route("/web/{path:path}", methods=["GET", "HEAD"])
async def get_asset(request: Request, context: Opened, path: str) -> Response:
    """Give a file of the page. Needs no key."""
    return _answer(request, context.page, path)


def _answer(request: Request, page: Page, path: str) -> Response:
    asset = page.assets.get(path)
    if asset is None:
        raise HTTPException(404)
    headers = _HEADERS | {"ETag": asset.etag}
    if _names(request.headers.get("if-none-match", ""), asset.etag):
        return Response(status_code=304, headers=headers)
    headers["Content-Length"] = str(len(asset.content))
    content = b"" if request.method == "HEAD" else asset.content
    return Response(content, headers=headers, media_type=asset.media_type)


def _names(if_none_match: str, etag: str) -> bool:
    """Tell whether the client has this already (RFC 9110, section 13.1.2)."""
    tags = (tag.strip().removeprefix("W/") for tag in if_none_match.split(","))
    return any(tag in (etag, "*") for tag in tags)
