"""TCP ports for servers that are ended and started again on the same ones.

Those that the system gives to whoever asks for any would be given to others meanwhile. So they are
of the range below, of which each process that runs tests has a part of its own.
"""

import itertools
import os
import random
import socket
from collections.abc import Iterator
from pathlib import Path

#: The lowest that is taken, and the lowest that systems give usually.
_LOWEST = 10_240
_USUALLY_GIVEN = 32_768

#: In so many parts the range is divided.
_PARTS = 8


def free_ports(number: int) -> list[int]:
    """Return so many different ports of the loopback interface on which nobody listens."""
    return list(itertools.islice(filter(_is_free, _ports), number))


def free_port() -> int:
    """Return one."""
    [port] = free_ports(1)
    return port


def _all() -> Iterator[int]:
    """This process's part of the range, round and round; another run's begins elsewhere."""
    ports = range(_LOWEST, min(_lowest_given(), _USUALLY_GIVEN))
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    size = len(ports) // _PARTS
    part = ports[worker % _PARTS * size :][:size]
    start = random.SystemRandom().randrange(size)
    return itertools.cycle([*part[start:], *part[:start]])


def _lowest_given() -> int:
    try:
        return int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except OSError:
        return _USUALLY_GIVEN  # not Linux


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


_ports = _all()
