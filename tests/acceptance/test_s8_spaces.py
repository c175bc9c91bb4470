"""S8: spaces are apart: nothing of one is seen from another, whatever the key or the header."""

import pytest

from tests.acceptance.conftest import Start
from tests.acceptance.rest_client import Event, Refused, Rest
from tests.acceptance.server_process import ServerProcess, run_command
from tests.acceptance.stomp_client import StompClient

#: A server, and its keys by name: id and secret.
Guarded = tuple[ServerProcess, dict[str, tuple[str, str]]]


def test_entities_of_the_same_key_are_two(server: ServerProcess, space: str) -> None:
    with (
        Rest(server.url, space=f"{space}-a") as a,
        Rest(server.url, space=f"{space}-b") as b,
    ):
        mine = a.create("Order", [Event("Ordered")], entity_id="1")
        assert b.find("Order", "1") == []
        with pytest.raises(Refused) as refused:
            b.update("Order", "1", mine.entity_version, [Event("Stolen")])
        assert refused.value.status == 404
        yours = b.create("Order", [Event("Ordered")], entity_id="1")

        assert [each.id for each in a.find("Order", "1")] == mine.event_ids
        assert [each.id for each in b.find("Order", "1")] == yours.event_ids
        for rest, ids in ((a, mine.event_ids), (b, yours.event_ids)):
            log = rest.http.get(f"/v1/spaces/{rest.space}/log").json()["events"]
            assert [each["id"] for each in log] == ids


def test_subscriptions_of_the_same_name_are_two(server: ServerProcess, space: str) -> None:
    types = {"Order": ["Ordered"]}
    with (
        Rest(server.url, space=f"{space}-a") as a,
        Rest(server.url, space=f"{space}-b") as b,
        server.connect() as of_a,
        server.connect() as of_b,
    ):
        of_a.subscribe("same", types, space=f"{space}-a")
        of_b.subscribe("same", types, space=f"{space}-b")
        for number in range(16):
            mine = a.create("Order", [Event("Ordered")], entity_id=str(number))
            yours = b.create("Order", [Event("Ordered")], entity_id=str(number))
            assert [event.id for event in of_a.take(1)] == mine.event_ids
            assert [event.id for event in of_b.take(1)] == yours.event_ids
        of_a.expect_silence(0.1)
        of_b.expect_silence(0.1)
        names = {
            rest.space: rest.http.get(f"/v1/spaces/{rest.space}/subscriptions").json()
            for rest in (a, b)
        }
    for name, answer in names.items():
        assert [(each["space"], each["subscriberId"]) for each in answer["subscriptions"]] == [
            (name, "same")
        ]


@pytest.fixture
def guarded(start: Start) -> Guarded:
    """A server with a key for all spaces, one for the space a, and one that may only read a."""
    server = start("--api-key", "root:all")
    keys = {"root": ("root", "all")}
    for name, options in (("a", ["--space", "a"]), ("reader", ["--space", "a", "--read-only"])):
        added = run_command("keys", "add", name, *options, "--engine", f"sqlite:{server.database}")
        assert added.returncode == 0, added.stderr
        key_id, _, secret = added.stdout.strip().partition(":")
        keys[name] = (key_id, secret)
    server.restart()
    return server, keys


def test_a_key_sees_its_spaces_only(
    guarded: Guarded,
) -> None:
    server, keys = guarded
    with Rest(server.url, space="b", key=keys["root"]) as root:
        secret = root.create("Order", [Event("Ordered")], entity_id="1")
    with Rest(server.url, space="b", key=keys["a"]) as intruder:
        for attempt in (
            lambda: intruder.find("Order", "1"),
            lambda: intruder.create("Order", [Event("Ordered")]),
            lambda: intruder.update("Order", "1", secret.entity_version, [Event("Stolen")]),
        ):
            with pytest.raises(Refused) as refused:
                attempt()
            assert (refused.value.status, refused.value.code) == (403, "forbidden")
        for path in ("log", "subscriptions", "subscriptions/s"):
            assert intruder.http.get(f"/v1/spaces/b/{path}").status_code == 403
        # The path decides, not what else is said.
        answer = intruder.http.get(
            "/entity/b/Order/1", params={"space": "a"}, headers={"space": "a", "x-space": "a"}
        )
        assert answer.status_code == 403
        assert intruder.http.get("/entity/a%2F..%2Fb/Order/1").status_code in {400, 403}
        assert intruder.http.get("/entity/B/Order/1").status_code == 403
    with Rest(server.url, space="a", key=keys["a"]) as own:
        assert own.find("Order", "1") == []
        assert own.create("Order", [Event("Ordered")], entity_id="1").event_ids
    with Rest(server.url, space="a", key=keys["reader"]) as reader:
        assert len(reader.find("Order", "1")) == 1
        with pytest.raises(Refused) as refused:
            reader.create("Order", [Event("Ordered")])
        assert (refused.value.status, refused.value.code) == (403, "forbidden")


@pytest.mark.parametrize("key", [("a", "wrong"), ("nobody", "all"), ("", ""), ("root", "all ")])
def test_a_wrong_key_opens_nothing(start: Start, key: tuple[str, str]) -> None:
    server = start("--api-key", "root:all")
    with Rest(server.url, key=key) as intruder:
        with pytest.raises(Refused) as refused:
            intruder.find("Order", "1")
        assert (refused.value.status, refused.value.code) == (401, "unauthorized")
    with pytest.raises(AssertionError, match="ERROR"):
        StompClient(server.stomp_port, login=key[0], passcode=key[1])


def test_stomp_keeps_to_the_spaces_of_its_key(
    guarded: Guarded,
) -> None:
    server, keys = guarded
    types = {"Order": ["Ordered"]}
    login, passcode = keys["a"]
    with Rest(server.url, space="b", key=keys["root"]) as root:
        root.create("Order", [Event("Ordered")])
    for space in ("b", "B", None):
        with (
            StompClient(server.stomp_port, login=login, passcode=passcode) as intruder,
            pytest.raises(AssertionError, match="ERROR"),
        ):
            intruder.subscribe("s", types, space=space)
    with StompClient(server.stomp_port, login=login, passcode=passcode) as own:
        own.subscribe("s", types, space="a")
        own.expect_silence(0.2)
        with Rest(server.url, space="a", key=keys["a"]) as rest:
            created = rest.create("Order", [Event("Ordered")])
        assert [event.id for event in own.take(1)] == created.event_ids
