"""URLs of servers: what they mean, and how they are refused."""

import re

import pytest

from eventuary.errors import ConfigurationError
from eventuary.remote import RemoteEventStore
from eventuary.remote.address import ServerAddress


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://h", ServerAddress("h", 80, 61613, False, "", "")),
        ("https://h/", ServerAddress("h", 443, 61614, True, "", "")),
        ("http://h:8080?stomp_port=7", ServerAddress("h", 8080, 7, False, "", "")),
        ("https://h:8443?stomp_port=7", ServerAddress("h", 8443, 7, True, "", "")),
        ("http://a:b@h:1", ServerAddress("h", 1, 61613, False, "a", "b")),
        ("http://a%40b:c%3Ad%25@[::1]:1", ServerAddress("::1", 1, 61613, False, "a@b", "c:d%")),
    ],
)
def test_what_a_url_means(url: str, address: ServerAddress) -> None:
    assert ServerAddress.parse(url) == address


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("localhost:8080", "url: begins with 'localhost'; expected http:// or https://"),
        ("ftp://h", "url: begins with 'ftp'"),
        ("http://", "url: has no host"),
        ("http://h:x", "url: host or port can't be read"),
        ("http://h:70000", "url: host or port can't be read"),
        ("http://[h", "url: host or port can't be read"),
        ("http://h:0", "url: port: 0 is outside 1..65535"),
        ("http://h/api", "url: '/api' behind the host"),
        ("http://h#x", "url: '#x' behind the host"),
        ("http://h?stomp-port=1", "'stomp-port' is not known; did you mean stomp_port?"),
        ("http://h?timeout=1", "'timeout' is not known; known are stomp_port"),
        ("http://h?stomp_port=x", "url: stomp_port: 'x' is not a number"),
        ("http://h?stomp_port=", "url: stomp_port: '' is not a number"),
        ("http://h?stomp_port=0", "url: stomp_port: 0 is outside 1..65535"),
        ("http://h?stomp_port=1&stomp_port=99999", "url: stomp_port: 99999 is outside 1..65535"),
        ("http://a%0Ab:c@h", "url: the id of the API key holds a control character"),
        ("http://a:c%00@h", "url: the secret of the API key holds a control character"),
        ("http://a%3Ab:c@h", "url: the id of the API key holds ':'"),
    ],
)
def test_what_a_url_can_not_be(url: str, complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(complaint)):
        RemoteEventStore(url)


def test_the_secret_is_not_shown() -> None:
    url = "https://key:hidden@h:1"
    shown = f"{ServerAddress.parse(url)!r} {ServerAddress.parse(url)} {RemoteEventStore(url)!r}"
    assert "hidden" not in shown
    assert "https://h:1" in shown


def test_errors_do_not_repeat_the_secret() -> None:
    for url in (
        "ftp://key:hidden@h",
        "http://key:hidden@h:x",
        "http://key:hidden@h/path?a=b",
        "http://key:hidden/not-encoded@h",
        "http://key:80/hidden@h",
        "http://key:80?hidden@h",
        "http://key:80#hidden@h",
    ):
        with pytest.raises(ConfigurationError) as caught:
            ServerAddress.parse(url)
        assert "hidden" not in str(caught.value)
