"""What the benchmark writes: events of 300 bytes, and requests that hold them."""

import json

ENTITY_TYPE = "bench.Order"
EVENT_TYPE = "OrderChanged"

#: ``eventData`` of 300 bytes.
DATA = '{"x":"' + "y" * 292 + '"}'

_HEADERS = (
    b"Host: localhost\r\nAuthorization: Basic YmVuY2g6YmVuY2g=\r\n"
    b"Content-Type: application/json\r\n"
)


def post(path: str, body: bytes) -> bytes:
    """Return a POST request."""
    return b"POST %b HTTP/1.1\r\n%bContent-Length: %d\r\n\r\n%b" % (
        path.encode(),
        _HEADERS,
        len(body),
        body,
    )


def get(path: str) -> bytes:
    """Return a GET request."""
    return b"GET %b HTTP/1.1\r\n%b\r\n" % (path.encode(), _HEADERS)


def event(data: str = DATA) -> dict[str, str]:
    """Return one event of a request."""
    return {"eventType": EVENT_TYPE, "eventData": data}


def create(data: str = DATA) -> bytes:
    """Return the request that creates an entity with one event."""
    body = {"entityTypeName": ENTITY_TYPE, "events": [event(data)]}
    return post("/entity/default", json.dumps(body).encode())


def find(entity_id: str) -> bytes:
    """Return the request that reads an entity."""
    return get(f"/entity/default/{ENTITY_TYPE}/{entity_id}")


def several(appends: int, events: int) -> bytes:
    """Return the /v1 request that creates so many entities of so many events each."""
    append = {"entityTypeName": ENTITY_TYPE, "events": [event()] * events}
    body = json.dumps({"appends": [append] * appends}).encode()
    return post("/v1/spaces/default/appends", body)
