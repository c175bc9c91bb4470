"""Settings: the file, the tables laid over each other, and what errors say."""

from pathlib import Path

import pytest

from eventuary.delivery.policy import DeliveryPolicy, OnDeadLetter
from eventuary.errors import ConfigurationError
from eventuary.limits import Limits
from eventuary.server.settings import (
    Settings,
    from_pairs,
    from_variables,
    overlay,
    read_file,
)
from eventuary.server.sockets import is_loopback, listen, port_of


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "eventuary.toml"


def test_a_file_may_write_names_either_way(file: Path) -> None:
    file.write_text('http-port = 1\nstomp_port = 2\napi_keys = ["a:b"]\n[limits]\nbody-size = 9\n')
    assert read_file(file) == {
        "http_port": 1,
        "stomp_port": 2,
        "api_keys": ["a:b"],
        "limits": {"body-size": 9},
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("http_prot = 1", "http_prot: is not known; did you mean http_port?"),
        ("[limit]", "limit: is not known; did you mean limits?"),
        ("qqqq = 1", "qqqq: is not known; known are host"),
        ("limits = 3", "limits is a table"),
        ("a = ", "is not TOML"),
        ("\xff", "is not UTF-8"),
    ],
)
def test_a_file_that_can_not_be(file: Path, text: str, said: str) -> None:
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigurationError, match=said.replace("?", r"\?")) as caught:
        read_file(file)
    assert str(file) in str(caught.value)


def test_a_file_that_is_not_there(file: Path) -> None:
    with pytest.raises(ConfigurationError, match="can't be read: No such file"):
        read_file(file)


def test_later_layers_win_field_by_field() -> None:
    limits = overlay(
        Limits(),
        ("file", {"body_size": 1, "frame-size": 2, "request_timeout": 3}),
        ("variables", {"frame_size": "4", "connections": "5"}),
        ("options", {"connections": "6"}),
    )
    assert limits == Limits(body_size=1, frame_size=4, request_timeout=3.0, connections=6)


def test_a_choice_is_read_by_its_value() -> None:
    policy = overlay(DeliveryPolicy(), ("x", {"on_dead_letter": "continue", "first_pause": "0.1"}))
    assert policy == DeliveryPolicy(on_dead_letter=OnDeadLetter.CONTINUE, first_pause=0.1)


@pytest.mark.parametrize(
    ("layer", "said"),
    [
        ({"body_sise": 1}, "x: body_sise: is not known; did you mean body_size"),
        ({"body_size": "much"}, "x: body_size: 'much': expected `int`"),
        ({"body_size": [1]}, r"x: body_size: \[1\]: expected `int`"),
        ({"body_size": 1.5}, "x: body_size: 1.5: expected `int`"),
    ],
)
def test_a_layer_that_can_not_be(layer: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        overlay(Limits(), ("x", layer))


def test_variables() -> None:
    environ = {"E_BODY_SIZE": "1", "E_EMPTY": "", "OTHER": "2"}
    assert from_variables("E_", environ) == {"body_size": "1"}


def test_pairs() -> None:
    assert from_pairs("--limit", ["a=1_000", "b = x=y"]) == {"a": "1000", "b": "x=y"}
    with pytest.raises(ConfigurationError, match="--limit: 'a': expected NAME=VALUE"):
        from_pairs("--limit", ["a"])


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (Settings(http_port=65_536), "http_port: 65536 is outside"),
        (Settings(stomp_port=-1), "stomp_port: -1 is outside"),
        (Settings(tls_cert=Path("x")), "tls_cert and tls_key: both"),
        (Settings(log_level="loud"), "log_level: 'loud' is none of"),
        (Settings(limits=Limits(body_size=0)), "limits: body_size: 0 is not above 0"),
        (Settings(limits=Limits(request_timeout=-1.0)), "limits: request_timeout"),
        (
            Settings(limits=Limits(request_timeout=float("nan"))),
            "request_timeout: nan is not above",
        ),
        (Settings(delivery=DeliveryPolicy(window=0)), "delivery: window: 0 is outside"),
    ],
)
def test_settings_that_can_not_be(settings: Settings, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        settings.check()


def test_the_stomp_port_follows_tls() -> None:
    assert Settings().actual_stomp_port == 61613
    assert Settings(tls_cert=Path("c"), tls_key=Path("k")).actual_stomp_port == 61614
    assert Settings(tls_cert=Path("c"), tls_key=Path("k"), stomp_port=0).actual_stomp_port == 0


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.1.2.3", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.0.2.1", False),
    ],
)
def test_which_addresses_are_this_machines_own(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


@pytest.mark.parametrize("host", ["", "a..b", "x" * 300, "1.2.3.4.5"])
def test_a_host_that_is_none(host: str) -> None:
    with pytest.raises(ConfigurationError, match="host: "):
        is_loopback(host)


def test_all_addresses_of_a_name_share_a_free_port() -> None:
    sockets = listen("localhost", 0, "http_port")
    try:
        assert {each.getsockname()[1] for each in sockets} == {port_of(sockets)}
        with pytest.raises(ConfigurationError, match=r"http_port: .* the port is in use"):
            listen("127.0.0.1", port_of(sockets), "http_port")
    finally:
        for each in sockets:
            each.close()


def test_an_address_of_another_machine() -> None:
    with pytest.raises(ConfigurationError, match="is not one of this machine's"):
        listen("192.0.2.1", 0, "http_port")
