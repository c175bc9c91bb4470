"""Who may do what: no key, wrong keys, keys for one space, read-only keys; and keys themselves."""

import httpx
import pytest

from tests.server.v1.calls import append_all, creation, event, refused
from tests.server.v1.conftest import ADMIN, RunningServer

#: Every route that needs a key: method, path, body, whether it changes something.
ROUTES = [
    ("POST", "/v1/spaces/default/appends", {"appends": [creation()]}, True),
    ("GET", "/v1/spaces/default/log", None, False),
    ("GET", "/v1/spaces/default/log?after=-1", None, None),
    ("GET", "/v1/spaces/default/subscriptions", None, False),
    ("GET", "/v1/spaces/default/subscriptions/sub", None, False),
    ("DELETE", "/v1/spaces/default/subscriptions/sub", None, True),
    ("POST", "/v1/spaces/default/subscriptions/sub/reset", {"to": "end"}, True),
    ("POST", "/v1/spaces/default/subscriptions/sub/pause", None, True),
    ("POST", "/v1/spaces/default/subscriptions/sub/resume", None, True),
    ("PUT", "/v1/spaces/default/subscriptions/sub/policy", {}, True),
    ("GET", "/v1/spaces/default/subscriptions/sub/dead-letters", None, False),
    ("POST", "/v1/spaces/default/subscriptions/sub/dead-letters/1/replay", None, True),
    ("DELETE", "/v1/spaces/default/subscriptions/sub/dead-letters/1", None, True),
]
KEY_ROUTES = [
    ("GET", "/v1/keys", None),
    ("POST", "/v1/keys", {"keyId": "new"}),
    ("DELETE", "/v1/keys/new", None),
]


async def make_key(client: httpx.AsyncClient, key_id: str, **settings: object) -> tuple[str, str]:
    answer = await client.post("/v1/keys", json={"keyId": key_id, **settings})
    assert answer.status_code == 200, answer.text
    made = answer.json()
    assert made["keyId"] == key_id
    return key_id, made["secret"]


async def test_without_valid_credentials_nothing_is_answered(server: RunningServer) -> None:
    routes = [each[:3] for each in ROUTES] + KEY_ROUTES + [("GET", "/metrics", None)]
    for credentials in (None, ("admin", "wrong"), ("nobody", "x")):
        async with server.client(credentials) as client:
            for method, path, body in routes:
                answer = await client.request(method, path, json=body)
                refused(answer, 401, "unauthorized")
                assert answer.headers["www-authenticate"].startswith("Basic ")
            refused(await client.get("/v1/spaces/default/log/stream"), 401, "unauthorized")
    assert server.store.head == 0


async def test_a_key_for_another_space_may_do_nothing_here(
    server: RunningServer, client: httpx.AsyncClient
) -> None:
    key = await make_key(client, "other", spaces=["other"])
    async with server.client(key) as other:
        for method, path, body, _ in ROUTES:
            refused(await other.request(method, path, json=body), 403, "forbidden")
        refused(await other.get("/v1/spaces/default/log/stream"), 403, "forbidden")
        for method, path, body in KEY_ROUTES:
            refused(await other.request(method, path, json=body), 403, "forbidden")
        refused(await other.get("/metrics"), 403, "forbidden")
        assert (await append_all(other, creation(), space="other")).status_code == 200
        # A space of a name that decodes to the forbidden one is the forbidden one.
        refused(await other.get("/v1/spaces/%64efault/log"), 403, "forbidden")


async def test_a_read_only_key_reads_and_changes_nothing(
    server: RunningServer, client: httpx.AsyncClient
) -> None:
    await append_all(client, creation())
    key = await make_key(client, "reader", readOnly=True)
    async with server.client(key) as reader:
        for method, path, body, writes in ROUTES:
            answer = await reader.request(method, path, json=body)
            if writes:
                assert "read-only" in refused(answer, 403, "forbidden")
            else:
                assert answer.status_code in {200, 400, 404}, path
        for method, path, body in KEY_ROUTES:
            refused(await reader.request(method, path, json=body), 403, "forbidden")
        assert (await reader.get("/metrics")).status_code == 200
        assert len((await reader.get("/v1/spaces/default/log")).json()["events"]) == 1


async def test_a_key_is_listed_without_its_secret_and_revoked_at_once(
    server: RunningServer, client: httpx.AsyncClient
) -> None:
    key = await make_key(client, "orders", spaces=["a", "b", "a"])
    (listed,) = (await client.get("/v1/keys")).json()["keys"]
    assert listed.pop("createdAt") > 1_700_000_000_000
    assert listed == {"keyId": "orders", "spaces": ["a", "b"], "readOnly": False}
    async with server.client(key) as holder:
        assert (await holder.get("/v1/spaces/a/log")).status_code == 200
        assert (await client.delete("/v1/keys/orders")).json() == {"revoked": "orders"}
        refused(await holder.get("/v1/spaces/a/log"), 401, "unauthorized")
    assert (await client.get("/v1/keys")).json() == {"keys": []}
    refused(await client.delete("/v1/keys/orders"), 404, "not_found")


async def test_a_key_without_an_id_gets_one(
    server: RunningServer, client: httpx.AsyncClient
) -> None:
    made = (await client.post("/v1/keys", json={})).json()
    assert made["spaces"] == ["*"]
    async with server.client((made["keyId"], made["secret"])) as holder:
        assert (await holder.get("/v1/spaces/any/log")).status_code == 200


async def test_a_key_id_is_used_once(client: httpx.AsyncClient) -> None:
    await make_key(client, "same")
    refused(await client.post("/v1/keys", json={"keyId": "same"}), 409, "conflict")
    answer = await client.post("/v1/keys", json={"keyId": ADMIN[0]})
    assert "started with" in refused(answer, 409, "conflict")
    assert [each["keyId"] for each in (await client.get("/v1/keys")).json()["keys"]] == ["same"]
    assert (await client.get("/metrics")).status_code == 200


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ({"keyId": ""}, "keyId: ''"),
        ({"keyId": "a:b"}, "keyId: 'a:b'"),
        ({"keyId": "a\nb"}, "keyId: "),
        ({"keyId": "x" * 256}, "keyId: "),
        ({"spaces": ["a/b"]}, "space: 'a/b'"),
        ({"spaces": [""]}, "space: ''"),
        ({"spaces": "a"}, "spaces: expected `array`"),
        ({"readonly": True}, "unknown field `readonly`"),
    ],
)
async def test_a_bad_key_is_named(
    client: httpx.AsyncClient, body: dict[str, object], names: str
) -> None:
    assert names in refused(await client.post("/v1/keys", json=body), 400, "bad_request")


async def test_the_first_key_ends_open_access(tmp_path_factory: pytest.TempPathFactory) -> None:
    server = RunningServer(tmp_path_factory.mktemp("open") / "eventuary.db", keys=False)
    await server.start()
    try:
        async with server.client(None) as anybody:
            assert (await append_all(anybody, creation())).status_code == 200
            assert "<dd>1</dd>" in (await anybody.get("/")).text
            key = await make_key(anybody, "first")
            refused(await append_all(anybody, creation()), 401, "unauthorized")
            assert "<dd>1</dd>" not in (await anybody.get("/")).text
        async with server.client(key) as holder:
            assert (await append_all(holder, creation())).status_code == 200
    finally:
        await server.stop()


async def test_an_update_needs_the_space_of_its_path_only(client: httpx.AsyncClient) -> None:
    """What the body says of spaces counts for nothing."""
    answer = await append_all(client, {**creation("a"), "space": "other"})
    assert "unknown field `space`" in refused(answer, 400, "bad_request")
    answer = await append_all(client, {**creation("a"), "events": [{**event(), "space": "x"}]})
    assert answer.status_code == 200
    assert (await client.get("/v1/spaces/x/log")).json()["events"] == []
