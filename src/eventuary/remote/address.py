"""Where a server is, and who calls: ``http://id:secret@host:8080?stomp_port=61613``.

``https`` means TLS on both ports. Ports that are left out: 80 or, with TLS, 443 for HTTP, as in any
URL; 61613 or, with TLS, 61614 for STOMP (protocol.md, section 3). Id and secret of the API key are
percent-encoded where need be; without them calls are made without credentials.
"""

import difflib
import re
from base64 import b64encode
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

import msgspec

from eventuary.errors import ConfigurationError

#: What may stand behind the question mark.
PARAMETERS = ("stomp_port",)

_HTTP_PORTS = {"http": 80, "https": 443}
_STOMP_PORTS = {"http": 61613, "https": 61614}

_ENCODE = (
    "in the id and secret of the API key, '/', '?', '#', '@', ':' are written as %2F and so on"
)

_NOT_IN_CREDENTIALS = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class ServerAddress(msgspec.Struct, frozen=True):
    """A server and the credentials for it. Its text, as in messages, has no secret."""

    host: str
    http_port: int
    stomp_port: int
    tls: bool
    key_id: str
    secret: str

    @classmethod
    def parse(cls, url: str) -> "ServerAddress":
        """Read a URL. Raises ConfigurationError, without repeating the secret."""
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            # Its text may quote the secret.
            raise ConfigurationError(f"url: host or port can't be read; {_ENCODE}") from None
        if "@" in parts.path + parts.query + parts.fragment:
            raise ConfigurationError(f"url: holds '@' behind the host; {_ENCODE}")
        if parts.scheme not in _HTTP_PORTS:
            raise ConfigurationError(
                f"url: begins with {parts.scheme[:40]!r}; expected http:// or https://"
            )
        if not host:
            raise ConfigurationError("url: has no host; expected http://HOST:PORT")
        if parts.path not in ("", "/") or parts.fragment:
            more = parts.path + ("#" + parts.fragment if parts.fragment else "")
            raise ConfigurationError(f"url: {more[:80]!r} behind the host is not expected")
        if port is None:
            port = _HTTP_PORTS[parts.scheme]
        return cls(
            host,
            _checked_port(port, "port"),
            _stomp_port(parts),
            parts.scheme == "https",
            _credential(parts.username, "id"),
            _credential(parts.password, "secret"),
        )

    @property
    def authority(self) -> str:
        """Host and HTTP port, as a ``Host`` header names them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.http_port}"

    @property
    def authorization(self) -> str | None:
        """The value of an ``Authorization`` header (RFC 7617); None without credentials."""
        if not self.key_id and not self.secret:
            return None
        return "Basic " + b64encode(f"{self.key_id}:{self.secret}".encode()).decode()

    def __repr__(self) -> str:
        return f"ServerAddress({self})"

    def __str__(self) -> str:
        """The URL of the HTTP side."""
        return f"http{'s' if self.tls else ''}://{self.authority}"


def _stomp_port(parts: SplitResult) -> int:
    port = _STOMP_PORTS[parts.scheme]
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if name not in PARAMETERS:
            near = difflib.get_close_matches(name, PARAMETERS, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(PARAMETERS)}"
            raise ConfigurationError(f"url: the parameter {name[:80]!r} is not known; {hint}")
        if not re.fullmatch(r"[0-9]{1,9}", value):
            raise ConfigurationError(f"url: stomp_port: {value[:80]!r} is not a number")
        port = _checked_port(int(value), "stomp_port")
    return port


def _checked_port(port: int, name: str) -> int:
    if not 1 <= port <= 65_535:
        raise ConfigurationError(f"url: {name}: {port} is outside 1..65535")
    return port


def _credential(encoded: str | None, name: str) -> str:
    value = unquote(encoded or "", errors="strict")
    found = _NOT_IN_CREDENTIALS.search(value)
    if found is not None:
        raise ConfigurationError(f"url: the {name} of the API key holds a control character")
    if name == "id" and ":" in value:
        raise ConfigurationError("url: the id of the API key holds ':'")
    return value
