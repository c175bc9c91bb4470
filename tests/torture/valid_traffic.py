"""Valid HTTP requests, STOMP conversations and WebSocket ones: what rubbish is made from.

All write to spaces of their own.
"""

import base64
import json
import struct
from collections.abc import Mapping

_KEY = base64.b64encode(b"id:secret").decode()
_EVENT = {"eventType": "Made", "eventData": '{"é": "\\u2028", "n": 1}'}
_VERSION = "0000000000000001-0000000000000002"


def _request(
    method: str, target: str, body: object = None, headers: Mapping[str, str] | None = None
) -> bytes:
    lines = [f"{method} {target} HTTP/1.1", "host: 127.0.0.1", f"authorization: Basic {_KEY}"]
    content = b"" if body is None else json.dumps(body).encode()
    if body is not None:
        lines += ["content-type: application/json", f"content-length: {len(content)}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join([*lines, "", ""]).encode() + content


def _chunked(content: bytes, size: int) -> bytes:
    pieces = [content[at : at + size] for at in range(0, len(content), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(each), each) for each in pieces) + b"0\r\n\r\n"


_CREATION = {"entityTypeName": "Thing", "entityId": "1", "events": [_EVENT, _EVENT]}
_UPDATE = {
    "entityVersion": _VERSION,
    "events": [{**_EVENT, "metadata": "{}"}],
    "triggeringEventToken": f"{_VERSION}.cnViYmlzaA",
    "snapshot": {"snapshotType": "S", "json": "{}"},
}
_APPENDS = {
    "atomic": True,
    "appends": [
        {"entityTypeName": "Thing", "entityId": f"{number}", "events": [_EVENT]}
        for number in range(3)
    ],
}
_UPGRADE = {
    "connection": "Upgrade",
    "upgrade": "websocket",
    "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
    "sec-websocket-version": "13",
    "sec-websocket-protocol": "v12.stomp",
}
_SPACE = "/v1/spaces/rubbish"


def _stomp(command: str, headers: Mapping[str, str], body: str = "") -> bytes:
    lines = [command, *(f"{name}:{value}" for name, value in headers.items())]
    return "\n".join([*lines, "", body]).encode() + b"\0"


def _destination(subscriber_id: str, space: str = "rubbish") -> str:
    text = json.dumps(
        {
            "subscriberId": subscriber_id,
            "space": space,
            "entityTypesAndEvents": {"Thing": ["Made", "Changed"]},
            "options": {"durability": "DURABLE", "progressNotifications": True},
        }
    )
    return text.replace("\\", "\\\\").replace(":", "\\c")


def connect(version: str = "1.2") -> bytes:
    """Return the frame that opens a session."""
    return _stomp(
        "CONNECT",
        {
            "accept-version": version,
            "host": "localhost",
            "login": "id",
            "passcode": "secret",
            "heart-beat": "0,1000",
        },
    )


def subscribe(subscriber_id: str, space: str) -> bytes:
    """Return the frame that subscribes."""
    return _stomp("SUBSCRIBE", {"id": "s", "destination": _destination(subscriber_id, space)})


def find(space: str, entity_id: str) -> bytes:
    """Return the request that reads an entity."""
    return _request("GET", f"/entity/{space}/Thing/{entity_id}")


def _websocket(payload: bytes) -> bytes:
    head = b"\x81" + (
        bytes([0x80 | len(payload)])
        if len(payload) < 126
        else b"\xfe" + struct.pack(">H", len(payload))
    )
    return head + bytes(4) + payload  # a mask of zeros changes nothing


_RECEIPT = json.dumps(
    {
        "id": _VERSION,
        "receiptHandle": {"subscriberId": "s", "swimlane": 3, "offset": 7, "consumer": 1},
    },
    separators=(",", ":"),
).replace(":", "\\c")

#: The request that opens a WebSocket, and what may be sent once it is answered.
UPGRADE = _request("GET", "/stomp", headers=_UPGRADE)
WEBSOCKET: tuple[bytes, ...] = (
    _websocket(connect()),
    _websocket(connect()) + _websocket(subscribe("s", "rubbish")) + b"\x89\x80" + bytes(4),
    _websocket(connect()) + b"\x88\x82" + bytes(4) + b"\x03\xe8",
)

STOMP: tuple[bytes, ...] = (
    connect(),
    connect("1.0,1.1"),
    connect() + subscribe("s", "rubbish"),
    connect()
    + subscribe("s", "rubbish")
    + _stomp("ACK", {"id": _RECEIPT, "receipt": "a"})
    + _stomp("NACK", {"id": _RECEIPT, "message": "no"})
    + _stomp("UNSUBSCRIBE", {"id": "s", "receipt": "u"})
    + _stomp("DISCONNECT", {"receipt": "d"}),
    connect("1.1") + subscribe("t", "rubbish") + _stomp("ACK", {"message-id": "1-2-3-4"}),
    connect() + b"\n\r\n\n" + _stomp("SEND", {"destination": "x", "content-length": "2"}, "hi"),
    connect() + _stomp("BEGIN", {"transaction": "t"}),
)

HTTP: tuple[bytes, ...] = (
    _request("POST", "/entity/rubbish", _CREATION),
    _request("POST", "/entity/rubbish/Thing/1", _UPDATE),
    _request("GET", f"/entity/rubbish/Thing/1?triggeringEventToken={_VERSION}.cnViYmlzaA"),
    _request("POST", f"{_SPACE}/appends", _APPENDS),
    _request("GET", f"{_SPACE}/log?after=1&limit=10&entityType=Thing&wait=0.1"),
    _request("GET", f"{_SPACE}/log/stream", headers={"last-event-id": "1"}),
    _request("GET", f"{_SPACE}/subscriptions"),
    _request("GET", f"{_SPACE}/subscriptions/s"),
    _request("POST", f"{_SPACE}/subscriptions/s/reset", {"to": "beginning"}),
    _request("POST", f"{_SPACE}/subscriptions/s/pause", {}),
    _request("DELETE", f"{_SPACE}/subscriptions/s"),
    _request("GET", f"{_SPACE}/subscriptions/s/dead-letters"),
    _request("GET", "/health/ready"),
    _request("GET", "/metrics"),
    _request("GET", "/openapi.json"),
    _request("HEAD", "/health/live"),
    _request("OPTIONS", "/entity/rubbish"),
    _request("POST", "/entity/rubbish", _CREATION, {"expect": "100-continue"}),
    _request("POST", "/entity/rubbish", headers={"transfer-encoding": "chunked"})
    + _chunked(json.dumps(_CREATION).encode(), 10),
    _request("GET", "/entity/rubbish/Thing/1") * 5,
    _request("POST", "/entity/rubbish", _CREATION, {"connection": "close"}),
    UPGRADE,
    _request("GET", "/health/live", headers={"connection": "Upgrade", "upgrade": "h2c"}),
)
