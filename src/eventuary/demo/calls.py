"""HTTP with nothing but the standard library: JSON there, JSON back."""

import http.client
import json
from typing import Any

#: Seconds within which a call is answered; the services themselves try for 30.
_PATIENCE = 40.0

#: Any credentials will do: the server is this machine's own, and has no keys.
_HEADERS = {"Content-Type": "application/json", "Authorization": "Basic ZGVtbzpkZW1v"}


class Refused(Exception):
    """The answer was neither success nor "not found"."""


def call(port: int, method: str, path: str, body: object = None) -> Any:
    """Return a call's answer; None for what is not found. Raises Refused and OSError."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE)
    try:
        connection.request(method, path, None if body is None else json.dumps(body), _HEADERS)
        response = connection.getresponse()
        text = response.read()
    finally:
        connection.close()
    if response.status == http.client.NOT_FOUND:
        return None
    if response.status >= http.client.BAD_REQUEST:
        raise Refused(f"{method} {path}: {response.status} {text.decode()}")
    return json.loads(text)
