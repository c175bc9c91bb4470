"""Addresses: which are this machine's own; and listening, with errors that say what to do."""

import errno
import ipaddress
import os
import socket

from eventuary.errors import ConfigurationError


def is_loopback(host: str) -> bool:
    """Whether only this machine can connect to ``host``. A name counts if all its addresses do.

    Raises ConfigurationError when the name has no address.
    """
    return all(ipaddress.ip_address(address).is_loopback for address in _addresses(host))


def _addresses(host: str) -> list[str]:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise ConfigurationError(f"host: {host!r} has no address: {error.strerror}") from None
    return list(dict.fromkeys(str(entry[4][0]).partition("%")[0] for entry in found))


def listen(host: str, port: int, name: str) -> list[socket.socket]:
    """Return sockets bound to every address of ``host``; with port 0, all on one free port.

    ``name`` is that of the setting, for the message. Raises ConfigurationError.
    """
    sockets: list[socket.socket] = []
    try:
        for address in _addresses(host):
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            each = socket.socket(family, socket.SOCK_STREAM)
            sockets.append(each)
            if os.name == "posix":
                each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                each.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            each.bind((address, port or (sockets[0].getsockname()[1] if len(sockets) > 1 else 0)))
            each.listen()
            each.setblocking(False)
    except OSError as error:
        for each in sockets:
            each.close()
        raise cannot_listen(host, port, name, error) from None
    return sockets


def cannot_listen(host: str, port: int, name: str, error: OSError) -> ConfigurationError:
    """Return what a user is told when a port can't be had."""
    if error.errno == errno.EADDRINUSE:
        reason = "the port is in use; stop what uses it, or choose another"
    elif error.errno == errno.EACCES:
        reason = "not permitted; choose a port above 1023"
    elif error.errno == errno.EADDRNOTAVAIL:
        reason = "the address is not one of this machine's"
    else:
        reason = error.strerror or str(error)
    return ConfigurationError(f"{name}: can't listen on {host} port {port}: {reason}")


def port_of(sockets: list[socket.socket]) -> int:
    """Return the port that the sockets share."""
    port: int = sockets[0].getsockname()[1]
    return port


def shown(host: str) -> str:
    """Return a host as a URL has it."""
    return f"[{host}]" if ":" in host else host
