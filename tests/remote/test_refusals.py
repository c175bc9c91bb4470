"""What an ERROR frame is to the caller: the error that its code names."""

import pytest

from eventuary.errors import (
    BadRequest,
    EventuaryError,
    Forbidden,
    NotFound,
    ServiceUnavailable,
    Unauthorized,
)
from eventuary.remote.refusals import refusal
from eventuary.stomp_frames import Frame


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (b"bad_request", BadRequest),
        (b"unauthorized", Unauthorized),
        (b"forbidden", Forbidden),
        (b"not_found", NotFound),
        (b"service_unavailable", ServiceUnavailable),
    ],
)
def test_its_code_says_what_it_is(code: bytes, kind: type[EventuaryError]) -> None:
    """Whatever the text is."""
    error = refusal(Frame("ERROR", {"message": b"a\\c shutting down", "error": code}))
    assert type(error) is kind
    assert str(error) == "a: shutting down"


@pytest.mark.parametrize(
    ("headers", "text"),
    [
        ({"message": b"why", "error": b"internal_error"}, "internal_error: why"),
        ({"message": b"why", "error": b"of_tomorrow"}, "of_tomorrow: why"),
        ({"message": b"there is no key of this id and secret"}, "there is no key"),
        ({}, ""),
    ],
)
def test_without_a_code_that_is_known_it_is_the_root(headers: dict[str, bytes], text: str) -> None:
    error = refusal(Frame("ERROR", headers))
    assert type(error) is EventuaryError
    assert str(error).startswith(text)


def test_one_that_can_not_be_read() -> None:
    error = refusal(Frame("ERROR", {"message": b"\\x", "error": b"bad_request"}))
    assert type(error) is ServiceUnavailable
    assert "ERROR" in str(error)
