"""API keys: who shows which one is whom, and nobody else gets in."""

import pytest
from starlette.datastructures import Headers

from service.api.context import owner_of
from service.api.problems import Problem
from service.runtime.key_ring import KeyRing

KEYS = KeyRing.parse("anna:first-key, ben:second-key ,bare-key,anna:other-key")


@pytest.mark.parametrize(
    ("headers", "owner"),
    [
        ({"Authorization": "Bearer first-key"}, "anna"),
        ({"Authorization": "bearer  second-key "}, "ben"),
        ({"X-API-Key": "other-key"}, "anna"),
        ({"Authorization": "Basic abc", "X-API-Key": "second-key"}, "ben"),
    ],
)
def test_a_key_names_the_owner_of_a_request(headers: dict[str, str], owner: str) -> None:
    assert owner_of(Headers(headers), KEYS) == owner


def test_a_bare_key_is_named_by_its_hash() -> None:
    owner = owner_of(Headers({"X-API-Key": "bare-key"}), KEYS)
    assert owner.startswith("key-")
    assert len(owner) == 12
    assert "bare" not in owner


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer first-ke"},
        {"Authorization": "Bearer anna:first-key"},
        {"Authorization": "Basic first-key"},
        {"X-API-Key": ""},
        {"X-API-Key": "first-key2"},
        {"X-API-Key": "k\xe9y"},
        {"Authorization": "Bearer wrong", "X-API-Key": "first-key"},
    ],
)
def test_without_a_key_that_fits_nobody_gets_in(headers: dict[str, str]) -> None:
    with pytest.raises(Problem) as refused:
        owner_of(Headers(headers), KEYS)
    problem = refused.value
    assert problem.status == 401
    assert problem.headers["WWW-Authenticate"].startswith("Bearer")


def test_without_keys_everybody_is_local() -> None:
    ring = KeyRing.parse("")
    assert owner_of(Headers({"Authorization": "Bearer whatever"}), ring) == "local"
    assert ring.num_owners == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (" ", "entry 1 has no key"),
        (",", "entry 1 has no key"),
        ("anna:first-key,", "entry 2 has no key"),
        ("anna:first-key, ,ben:second-key", "entry 2 has no key"),
        ("anna:", "entry 1 has no key"),
        ("anna: ", "entry 1 has no key"),
        (":first-key", "entry 1 has no owner"),
        ("anna:first-key, :second-key", "entry 2 has no owner"),
    ],
)
def test_a_list_with_an_empty_part_is_refused_without_showing_it(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said) as error:
        KeyRing.parse(text)
    assert "first-key" not in str(error.value)


def test_blanks_around_a_key_do_not_belong_to_it() -> None:
    ring = KeyRing.parse(" anna : first-key ")
    assert owner_of(Headers({"X-API-Key": "first-key"}), ring) == "anna"


def test_keys_are_kept_as_hashes_only() -> None:
    assert "first-key" not in repr(KEYS)
    assert KEYS.num_owners == 3
