"""`GET /`: the page, and under `/web/` its files. Neither needs a key: the page asks for one."""

from os import PathLike, stat_result
from pathlib import Path
from typing import Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

FOLDER: Final = Path(__file__).parents[2] / "web"
# The page loads nothing from elsewhere and connects to nothing else; no text can become a script.
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
HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    # Stored, but validated each time: an updated service must not meet old files of the page.
    "Cache-Control": "no-cache",
}


class PageFiles(StaticFiles):
    """Serves the files of the page with the headers that guard it."""

    def file_response(
        self,
        full_path: str | PathLike[str],
        stat_result: stat_result,
        scope: Scope,
        status_code: int = 200,
    ) -> Response:
        """Return a file, or 304 where the client has it already."""
        response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers.update(HEADERS)
        return response


router = APIRouter(include_in_schema=False)
_files: Final = PageFiles(directory=FOLDER, check_dir=False)


@router.api_route("/", methods=["GET", "HEAD"])
async def get_page(request: Request) -> Response:
    """Return the page."""
    return await _files.get_response("index.html", request.scope)


@router.api_route("/web/{path:path}", methods=["GET", "HEAD"])
async def get_asset(request: Request, path: str) -> Response:
    """Return a file of the page."""
    return await _files.get_response(path, request.scope)
