"""Opening a TCP or TLS connection to the server, for either of its ports."""

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import TypeVar

from eventuary.errors import ConfigurationError

#: Seconds within which a connection is open, or the attempt has failed.
CONNECT_TIMEOUT = 10.0

#: How OpenSSL, by its version, calls an answer that is not TLS.
_NOT_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE")

_Protocol = TypeVar("_Protocol", bound=asyncio.Protocol)


class Unreachable(Exception):
    """There is no connection: nothing was sent."""


async def open_connection(
    make: Callable[[], _Protocol], host: str, port: int, tls: ssl.SSLContext | None
) -> _Protocol:
    """Return the protocol of a new connection.

    Raises Unreachable, or ConfigurationError for a server that does not speak TLS, or whose
    certificate is not trusted: that does not heal by itself.
    """
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT):
            transport, protocol = await loop.create_connection(make, host, port, ssl=tls)
    except TimeoutError:
        raise Unreachable(f"not connected within {CONNECT_TIMEOUT:g} seconds") from None
    except ssl.SSLCertVerificationError as error:
        raise ConfigurationError(
            f"url: the certificate of {host}:{port} is not trusted: {error.verify_message}"
        ) from None
    except ssl.SSLError as error:
        if error.reason in _NOT_TLS:
            raise ConfigurationError(f"url: {host}:{port} does not speak TLS") from None
        raise Unreachable(str(error)) from None
    except OSError as error:
        raise Unreachable(error.strerror or str(error)) from None
    _keep_alive(transport.get_extra_info("socket"))
    return protocol


def _keep_alive(connection: socket.socket) -> None:
    """Let the kernel find out when the server's machine is gone."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if hasattr(socket, "TCP_KEEPIDLE"):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
