"""Three nodes on ports of the loopback interface, durable as in production (every write synced)."""

import asyncio
import itertools
import json
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import nats
import nats.errors

from tests.nats.node import Node
from tests.ports import free_ports

#: What JetStream answers, as JSON.
_Answer = dict[str, dict[str, Any]]

#: Seconds until a cluster that is not ready never will be.
_DEADLINE = 60.0

#: Others take ports too: so often others are tried.
_ATTEMPTS = 5


class NatsCluster:
    """Its nodes, and what the tests want to know and do of them as a whole."""

    def __init__(self, size: int = 3, sync_interval: str = "always") -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="eventuary-nats-"))
        self._size = size
        self._sync_interval = sync_interval
        self.nodes: list[Node] = []

    @property
    def servers(self) -> list[str]:
        """The URLs of its nodes for a client of NATS."""
        return [f"nats://127.0.0.1:{node.client_port}" for node in self.nodes]

    @property
    def url(self) -> str:
        """An engine's URL of the log named ``eventuary``."""
        return self.url_of("eventuary")

    def url_of(self, name: str, *parameters: str) -> str:
        """An engine's URL of a log; the system's user is in it unless ``parameters`` are given."""
        hosts = ",".join(f"127.0.0.1:{node.client_port}" for node in self.nodes)
        return f"nats://{hosts}/{name}?" + "&".join(parameters or ("system=system:secret",))

    def start(self) -> None:
        """Start all nodes, and return when streams can be made."""
        deadline = time.monotonic() + _DEADLINE
        for attempt in range(_ATTEMPTS):
            self._make_nodes(attempt)
            for node in self.nodes:
                node.start()
            if asyncio.run(self._becomes_ready(deadline)):
                return
            self._kill_all()
        raise AssertionError(f"no cluster in {_ATTEMPTS} attempts:\n{self.logs()}")

    def leader_of(self, stream: str) -> Node:
        """Return the node that leads a stream."""
        name = asyncio.run(self._leader(stream))
        return next(node for node in self.nodes if node.name == name)

    def memory(self) -> float:
        """Return how many MB (10⁶ bytes) its nodes have resident, together."""
        return sum(node.memory() for node in self.nodes)

    def is_whole(self, *streams: str) -> bool:
        """Whether each node has all of these streams, but for what is under way."""
        return all(asyncio.run(self._is_whole(stream)) for stream in streams)

    def forget(self, name: str) -> None:
        """Delete the streams of a log: nodes that lead or follow one do so though it is idle."""
        asyncio.run(self._forget(name))

    def logs(self) -> str:
        """Return the ends of what the nodes have logged."""
        return "\n".join(f"{node.name}:\n{node.log.read_text()[-3000:]}" for node in self.nodes)

    def remove(self) -> None:
        """End the nodes, and delete their data."""
        self._kill_all()
        shutil.rmtree(self._directory)

    def _kill_all(self) -> None:
        for node in self.nodes:
            node.kill()

    def _make_nodes(self, attempt: int) -> None:
        ports = free_ports(2 * self._size)
        cluster_ports = ports[self._size :] if self._size > 1 else []
        self.nodes = [
            Node(
                self._directory / f"{attempt}-{number}",
                f"node-{number}",
                ports[number],
                cluster_ports[number] if cluster_ports else 0,
                cluster_ports,
                self._sync_interval,
            )
            for number in range(self._size)
        ]

    async def _becomes_ready(self, deadline: float) -> bool:
        """Return True when JetStream answers; False when a node has failed, for want of a port."""
        while time.monotonic() < deadline:
            if any(node.has_failed for node in self.nodes):
                return False
            if await self._is_ready():
                return True
            await asyncio.sleep(0.05)
        raise AssertionError(f"no cluster within {_DEADLINE:g} s:\n{self.logs()}")

    async def _is_ready(self) -> bool:
        for server in self.servers:
            answer = await self._ask(server, "$JS.API.INFO", b"")
            if answer is None or "error" in answer:
                return False
        # The leader of all knows its peers one after the other: only then is there room for three.
        configuration = {"name": "ready", "subjects": ["ready"], "num_replicas": self._size}
        answer = await self._ask(
            self.servers[0], "$JS.API.STREAM.CREATE.ready", json.dumps(configuration).encode()
        )
        if answer is None or "error" in answer:
            return False
        await self._ask(self.servers[0], "$JS.API.STREAM.DELETE.ready", b"")
        return True

    async def _leader(self, stream: str) -> str:
        deadline = time.monotonic() + _DEADLINE
        for server in itertools.cycle(self.servers):
            answer = await self._ask(server, f"$JS.API.STREAM.INFO.{stream}", b"")
            if answer is not None and answer.get("cluster", {}).get("leader"):
                return str(answer["cluster"]["leader"])
            assert time.monotonic() < deadline, f"nobody leads {stream}:\n{self.logs()}"
            await asyncio.sleep(0.05)  # an election may be under way
        raise AssertionError("a cluster has nodes")

    async def _is_whole(self, stream: str) -> bool:
        for server in self.servers:
            answer = await self._ask(server, f"$JS.API.STREAM.INFO.{stream}", b"")
            if answer is not None and "cluster" in answer:
                replicas = answer["cluster"].get("replicas", [])
                return len(replicas) == self._size - 1 and all(
                    each["current"] and not each.get("offline") for each in replicas
                )
        return False

    async def _forget(self, name: str) -> None:
        deadline = time.monotonic() + _DEADLINE
        for server in itertools.cycle(self.servers):
            listed = await self._ask(server, "$JS.API.STREAM.NAMES", b"")
            if listed is not None and "error" not in listed:
                left = [each for each in listed.get("streams") or () if each.startswith(f"{name}-")]
                if not left:
                    return
                for stream in left:  # one whose answer is lost is asked for again, or is gone
                    await self._ask(server, f"$JS.API.STREAM.DELETE.{stream}", b"")
            assert time.monotonic() < deadline, self.logs()

    async def _ask(self, server: str, subject: str, body: bytes) -> _Answer | None:
        """Ask a node; None when it does not answer."""

        async def ignore(_: Exception) -> None:
            return

        try:
            connection = await nats.connect(
                server, allow_reconnect=False, connect_timeout=2, error_cb=ignore
            )
        except (OSError, TimeoutError, nats.errors.Error):
            return None
        try:
            answer = await connection.request(subject, body, timeout=2)
            parsed: _Answer = json.loads(answer.data)
        except (OSError, TimeoutError, nats.errors.Error):
            return None
        finally:
            await connection.close()
        return parsed
