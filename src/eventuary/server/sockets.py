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
    except UnicodeError:
        raise ConfigurationError(f"host: {host!r} is not a name of a host") from None
    return list(dict.fromkeys(str(entry[4][0]).partition("%")[0] for entry in found))


def listen(host: str, port: int, name: str) -> list[socket.socket]:
    """Return sockets bound to every address of ``host``; with port 0, all on one free port.

    ``name`` is that of the setting, for the message. An address of a kind that this machine does
    not have (a ``localhost`` of IPv6 where there is no IPv6) is passed over if there is another.
    Raises ConfigurationError.
    """
    sockets: list[socket.socket] = []
    missing: OSError | None = None
    for address in _addresses(host):
        try:
            sockets.append(_bind(address, port or (port_of(sockets) if sockets else 0)))
        except OSError as error:
            if error.errno in {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}:
                missing = error
                continue
            for each in sockets:
                each.close()
            raise cannot_listen(host, port, name, error) from None
    if not sockets and missing is not None:
        raise cannot_listen(host, port, name, missing)
    return sockets


def _bind(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        if os.name == "posix":
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind((address, port))
        bound.listen()
    except BaseException:
        bound.close()
        raise
    bound.setblocking(False)
    return bound


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


def address_of(peer: object) -> str:
    """Return the address of a connection's other side, as asyncio tells it, for people."""
    if isinstance(peer, tuple) and len(peer) >= 2:
        return f"{shown(str(peer[0]))}:{peer[1]}"
    return "an address that is not known"


def shown(host: str) -> str:
    """Return a host as a URL has it."""
    return f"[{host}]" if ":" in host else host
