"""Where the service is and who asks."""

import pytest

from service.client import Client, ClientError


def authorization_of(client: Client) -> str | None:
    with client:
        return client._http.headers.get("Authorization")


@pytest.mark.parametrize(
    "url", ["", "localhost:8400", "ftp://host", "http://", "/v1", "http://host:port"]
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(ClientError, match="is not the address of a service"):
        Client(url)


def test_the_key_comes_from_the_argument_or_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("HRM_ARC_API_KEY", raising=False)
    assert authorization_of(Client("http://a")) is None

    monkeypatch.setenv("HRM_ARC_API_KEY", "of-the-environment")
    assert authorization_of(Client("http://a")) == "Bearer of-the-environment"
    assert authorization_of(Client("http://a", api_key="given")) == "Bearer given"


@pytest.mark.parametrize("key", ["two\nlines", "left right", "schl\u00fcssel"])
def test_a_key_no_header_can_carry_is_refused_without_showing_it(key: str) -> None:
    with pytest.raises(ClientError) as caught:
        Client("http://a", api_key=key)

    assert key not in str(caught.value)


def test_a_password_in_the_address_is_refused_without_showing_it() -> None:
    with pytest.raises(ClientError, match="API keys alone") as caught:
        Client("http://me:hidden@host")

    assert "hidden" not in str(caught.value)


def test_the_key_is_not_shown() -> None:
    assert "secret" not in repr(vars(Client("http://a", api_key="secret")))
