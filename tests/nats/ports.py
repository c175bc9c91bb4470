"""TCP ports that nobody listens on."""

import contextlib
import socket


def free_ports(number: int) -> list[int]:
    """Return so many different ports of the loopback interface that were free a moment ago."""
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(number)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
