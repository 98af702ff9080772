"""The page's files as they are served: complete, with the headers that guard them, sent once."""

import base64
import hashlib
import mimetypes
import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from service.api import create_app
from service.api.routes.checkpoints import find_public_task
from service.runtime.settings import Settings

WEB = Path(__file__).parents[4] / "service" / "web"
INDEX = "index.html"
FILES = {path.relative_to(WEB).as_posix(): path for path in WEB.rglob("*") if path.is_file()}

TYPES = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": mimetypes.guess_type("x.js")[0],  # text/javascript, from Python 3.12 on
    ".json": "application/json",
    ".svg": "image/svg+xml",
}

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    """Return a client of an app that needs keys, and whose queue is away."""
    settings = Settings(redis_url="redis://127.0.0.1:1/0", api_keys="ann:secret")
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as opened:
            yield opened


def referenced(path: str, content: str) -> set[str]:
    """Name the files that a file of the page asks for, from the root."""
    found: set[str] = set()
    if path.endswith(".html"):
        found |= set(re.findall(r'(?:src|href)="(?!#|/|[a-z]+:)([^"]+)"', content))
        return {name.removeprefix("web/") for name in found if name.startswith("web/")}
    if path.endswith(".js"):
        names = re.findall(r'(?:from|import) "(\./[^"]+)"', content)
        return {f"js/{name.removeprefix('./')}" for name in names}
    return found


async def test_the_page_needs_no_key_and_no_queue(client: httpx.AsyncClient) -> None:
    answer = await client.get("/")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.text == (WEB / INDEX).read_text(encoding="utf-8")


async def test_every_file_is_served_under_a_policy_that_lets_nothing_else_in(
    client: httpx.AsyncClient,
) -> None:
    for path, file in FILES.items():
        answer = await client.get(f"/web/{path}")
        assert (answer.status_code, answer.content) == (200, file.read_bytes()), path
        assert answer.headers["content-type"].split(";")[0] == TYPES[file.suffix]
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"


async def test_a_file_that_the_browser_has_is_not_sent_again(client: httpx.AsyncClient) -> None:
    first = await client.get("/")
    etag = first.headers["etag"]
    assert first.headers["cache-control"] == "no-cache"
    for tags in (etag, f'"other", W/{etag}', "*"):
        again = await client.get("/", headers={"If-None-Match": tags})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == etag
    assert (await client.get("/", headers={"If-None-Match": '"other"'})).status_code == 200


async def test_head_describes_a_file_without_sending_it(client: httpx.AsyncClient) -> None:
    answer = await client.head("/")
    assert (answer.status_code, answer.content) == (200, b"")
    assert int(answer.headers["content-length"]) == (WEB / INDEX).stat().st_size


@pytest.mark.parametrize("path", ["/web/", "/web/none.js", "/web/%2e%2e/api/app.py", "/web//etc"])
async def test_nothing_but_the_pages_files_is_served(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_every_file_is_asked_for_by_another_and_is_there() -> None:
    asked = {INDEX}
    for path, file in FILES.items():
        if path.endswith((".html", ".js")):
            asked |= referenced(path, file.read_text(encoding="utf-8"))
    fetched = {"examples.json"}  # by address, when the page starts
    assert asked | fetched == set(FILES)


def test_nothing_is_asked_of_other_hosts() -> None:
    for path, file in FILES.items():
        content = file.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"(?:https?:)?//[a-z0-9-]+\.[a-z]", content), path


async def test_the_documentation_asks_nothing_of_other_hosts_either(
    client: httpx.AsyncClient,
) -> None:
    page = await client.get("/docs")
    assert page.status_code == 200
    asked = re.findall(r"""(?:src|href)="([^"]+)"|url: '([^']+)'""", page.text)
    addresses = {one or other for one, other in asked}
    assert {"/openapi.json"} < addresses
    for address in addresses:
        assert address.startswith("/")
        assert (await client.get(address)).status_code == 200, address


async def test_the_documentation_runs_its_own_script_only(client: httpx.AsyncClient) -> None:
    page = await client.get("/docs")
    policy = page.headers["content-security-policy"]
    (script,) = re.findall(r"<script>(.*?)</script>", page.text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'self' 'sha256-{digest}';" in policy
    assert "frame-ancestors 'none'" in policy
    assert page.headers["x-content-type-options"] == "nosniff"


def test_a_public_puzzle_is_found_by_name_and_demonstrations() -> None:
    known = "d7311075b8a3de5fd78c8deea2143c07901d0a155c17213078b2a51e13cc5675"
    task = find_public_task("0d3d703e", known)
    assert task is not None
    assert task.puzzle.demonstrations_hash == known
    assert find_public_task("0d3d703e", "0" * 64) is None
    assert find_public_task("no such name", known) is None
