"""Keys: who gets in, what a key may, how revoking works, when any credentials do."""

import base64

import pytest

from eventuary.engines.engine import KeyRecord
from eventuary.errors import ConfigurationError, Forbidden, Unauthorized
from eventuary.server import auth
from eventuary.server.auth import ApiKey, KeyAuthenticator, generate_secret, hash_secret
from eventuary.server.principal import Principal


def stored(
    key_id: str, secret: str, *spaces: str, read_only: bool = False, created_at: int = 1
) -> KeyRecord:
    return KeyRecord(key_id, hash_secret(secret), spaces or ("*",), read_only, created_at)


def header(key_id: str, secret: str) -> bytes:
    return b"Basic " + base64.b64encode(f"{key_id}:{secret}".encode())


def test_a_given_key_may_everything_everywhere() -> None:
    keys = KeyAuthenticator([ApiKey("me", "s:e:c")])
    principal = keys.authenticate("me", "s:e:c")
    assert principal.key_id == "me"
    principal.require("any", write=True)
    assert keys.authenticate_header(header("me", "s:e:c")) is principal


def test_a_stored_key_may_what_it_says() -> None:
    keys = KeyAuthenticator(
        stored=[stored("w", "1", "a", "b"), stored("r", "2", "a", read_only=True)]
    )
    writer, reader = keys.authenticate("w", "1"), keys.authenticate("r", "2")
    writer.require("a", write=True)
    writer.require("b", write=False)
    with pytest.raises(Forbidden, match="no access to space 'c'"):
        writer.require("c", write=False)
    reader.require("a", write=False)
    with pytest.raises(Forbidden, match="read-only"):
        reader.require("a", write=True)


@pytest.mark.parametrize(
    ("key_id", "secret"), [("me", "wrong"), ("you", "s"), ("", ""), ("me", "")]
)
def test_wrong_credentials(key_id: str, secret: str) -> None:
    keys = KeyAuthenticator([ApiKey("me", "s")], [stored("other", "o")])
    with pytest.raises(Unauthorized):
        keys.authenticate(key_id, secret)
    with pytest.raises(Unauthorized):
        keys.authenticate_header(header(key_id, secret))


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"Basic",
        b"Basic ",
        b"Basic !!!",
        b"Basic " + base64.b64encode(b"no colon"),
        b"Basic " + base64.b64encode(b"\xff:\xff"),
        b"Bearer " + base64.b64encode(b"me:s"),
        b"Basic " + base64.b64encode(b"me:\xed\xa0\x80"),
    ],
)
def test_headers_that_are_not_credentials(value: bytes | None) -> None:
    with pytest.raises(Unauthorized):
        KeyAuthenticator([ApiKey("me", "s")]).authenticate_header(value)


def test_the_scheme_is_compared_without_case() -> None:
    keys = KeyAuthenticator([ApiKey("me", "s")])
    assert keys.authenticate_header(header("me", "s").replace(b"Basic", b"bAsIc  ")).key_id == "me"


def test_a_secret_may_be_any_text() -> None:
    keys = KeyAuthenticator([ApiKey("größe", "\U0001d11e : \t")])
    assert keys.authenticate_header(header("größe", "\U0001d11e : \t")).key_id == "größe"
    with pytest.raises(Unauthorized):
        keys.authenticate("größe", "\ud800")


def test_a_revoked_key_is_refused_also_where_it_is_remembered_or_held() -> None:
    keys = KeyAuthenticator([ApiKey("given", "g")], [stored("a", "1"), stored("b", "2")])
    a, b = (keys.authenticate_header(header(*each)) for each in (("a", "1"), ("b", "2")))
    given = keys.authenticate_header(header("given", "g"))
    keys.replace_stored([stored("b", "2")])
    with pytest.raises(Unauthorized):
        keys.authenticate_header(header("a", "1"))
    assert a.revoked
    with pytest.raises(Unauthorized, match="revoked"):
        a.require("default", write=False)
    assert keys.authenticate_header(header("b", "2")) is b
    b.require("default", write=True)
    assert keys.authenticate_header(header("given", "g")) is given


def test_a_key_made_anew_under_its_id_is_another() -> None:
    keys = KeyAuthenticator(stored=[stored("a", "1")])
    old = keys.authenticate("a", "1")
    keys.replace_stored([stored("a", "2", created_at=2)])
    assert old.revoked
    with pytest.raises(Unauthorized):
        keys.authenticate_header(header("a", "1"))
    assert not keys.authenticate_header(header("a", "2")).revoked


def test_a_key_whose_rights_have_changed() -> None:
    keys = KeyAuthenticator(stored=[stored("a", "1")])
    old = keys.authenticate_header(header("a", "1"))
    keys.replace_stored([stored("a", "1", read_only=True)])
    assert old.revoked
    with pytest.raises(Forbidden):
        keys.authenticate_header(header("a", "1")).require("default", write=True)


def test_open_access_accepts_anything_until_there_is_a_key_and_never_again() -> None:
    keys = KeyAuthenticator(allow_open=True)
    was_open = keys.open_access
    for value in (None, b"Bearer x", b"Basic !", header("any", "body")):
        keys.authenticate_header(value).require("any", write=True)
    anybody = keys.authenticate("", "")
    anybody.require("any", write=True)
    elsewhere = KeyAuthenticator(allow_open=True).authenticate("", "")
    keys.replace_stored([stored("a", "1")])
    assert (was_open, keys.open_access) == (True, False)
    with pytest.raises(Unauthorized, match="open access has ended"):
        anybody.require("any", write=False)
    assert not elsewhere.revoked
    with pytest.raises(Unauthorized):
        keys.authenticate_header(header("any", "body"))
    keys.replace_stored([])
    assert not keys.open_access
    with pytest.raises(Unauthorized):
        keys.authenticate_header(None)


def test_without_keys_nobody_gets_in_unless_that_is_allowed() -> None:
    keys = KeyAuthenticator()
    assert not keys.open_access
    assert not keys.has_keys
    with pytest.raises(Unauthorized):
        keys.authenticate("a", "")


def test_only_valid_headers_are_remembered_and_not_without_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(auth, "_REMEMBERED_HEADERS", 10)
    keys = KeyAuthenticator([ApiKey("me", "s")])
    for number in range(100):
        with pytest.raises(Unauthorized):
            keys.authenticate_header(header("me", str(number)))
    assert not keys._remembered
    for spaces in range(100):
        keys.authenticate_header(header("me", "s") + b" " * spaces)
    assert 1 <= len(keys._remembered) <= 10


def test_secrets_are_long_and_not_repeated() -> None:
    secrets = {generate_secret() for _ in range(100)}
    assert len(secrets) == 100
    assert all(len(secret) >= 43 for secret in secrets)


@pytest.mark.parametrize("text", ["", "a", ":", "a:", ":b"])
def test_a_key_option_that_is_none(text: str) -> None:
    with pytest.raises(ConfigurationError, match="ID:SECRET"):
        ApiKey.parse(text)


def test_a_key_option() -> None:
    assert ApiKey.parse("me:a:b") == ApiKey("me", "a:b")


def test_a_principal_of_some_spaces() -> None:
    principal = Principal("me", ["a"])
    principal.require("a", write=True)
    with pytest.raises(Forbidden):
        principal.require("*", write=False)
