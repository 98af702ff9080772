"""The names under which an API without keys answers: its own, and no foreign page's."""

import httpx
import pytest
from conftest import Open, Worker

pytestmark = pytest.mark.anyio

OWN = ("localhost", "LocalHost:8400", "127.0.0.1:8400", "127.0.0.1", "[::1]:8400", "[::1]")
FOREIGN = (
    *("evil.example", "evil.example:8400", "127.0.0.1.evil.example", "localhost.evil.example"),
    *("[::1].evil.example", "evil.example:80:localhost", "192.0.2.7:8400", "[2001:db8::1]", ""),
)


async def status(client: httpx.AsyncClient, host: str, path: str = "/v1/jobs") -> int:
    return (await client.get(path, headers={"Host": host})).status_code


@pytest.mark.parametrize("host", OWN)
async def test_a_loopback_name_is_served(client: httpx.AsyncClient, host: str) -> None:
    assert await status(client, host) == 200


@pytest.mark.parametrize("host", FOREIGN)
async def test_a_foreign_name_is_refused_as_a_problem(client: httpx.AsyncClient, host: str) -> None:
    for path in ("/v1/jobs", "/", "/web/js/main.js", "/health/ready", "/metrics", "/none"):
        answer = await client.get(path, headers={"Host": host})
        assert (answer.status_code, answer.json()["code"]) == (421, "unknown_host")
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["x-request-id"]
    removal = await client.delete("/v1/jobs/abc", headers={"Host": host})
    assert removal.status_code == 421


async def test_names_of_the_setting_are_served_beside_the_loopback_ones(
    open_client: Open, worker: Worker
) -> None:
    async with open_client(allowed_hosts="Arc.example,2001:DB8::0001") as client:
        for host in ("arc.example", "ARC.EXAMPLE:443", "[2001:db8::1]:8400", "localhost"):
            assert await status(client, host) == 200
        assert await status(client, "sub.arc.example") == 421


async def test_the_host_that_is_listened_on_is_served(open_client: Open, worker: Worker) -> None:
    async with open_client(host="arc.example", allow_anonymous=True) as client:
        assert await status(client, "arc.example:8400") == 200
        assert await status(client, "192.0.2.7") == 421


async def test_on_all_addresses_any_address_is_served_but_no_unknown_name(
    open_client: Open, worker: Worker
) -> None:
    for everywhere in ("0.0.0.0", "::"):
        async with open_client(host=everywhere, allow_anonymous=True) as client:
            for host in ("192.0.2.7:8400", "[2001:db8::1]:8400", "localhost"):
                assert await status(client, host) == 200
            assert await status(client, "evil.example") == 421


async def test_where_there_are_keys_every_name_is_served(open_client: Open, worker: Worker) -> None:
    async with open_client(host="0.0.0.0", api_keys="anna:key-a") as client:
        assert await status(client, "api:8400", "/health/ready") == 200
        assert await status(client, "api:8400") == 401


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
async def test_another_site_s_page_changes_nothing(client: httpx.AsyncClient, site: str) -> None:
    headers = {"Sec-Fetch-Site": site}
    for method, path in (("POST", "/v1/checkpoints/reload"), ("DELETE", "/v1/jobs/abc")):
        answer = await client.request(method, path, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (403, "cross_site")
    assert (await client.get("/v1/jobs", headers=headers)).status_code == 200


@pytest.mark.parametrize("site", ["same-origin", "none"])
async def test_its_own_page_does(client: httpx.AsyncClient, site: str) -> None:
    answer = await client.post("/v1/checkpoints/reload", headers={"Sec-Fetch-Site": site})
    assert answer.status_code == 202
