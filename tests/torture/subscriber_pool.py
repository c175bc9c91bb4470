"""Subscriber processes that share one name, to be stopped, continued and killed.

All write to one pipe, each event before they acknowledge it. So the pipe has the deliveries in the
order in which they were made, whichever process they were made to.
"""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence

from tests.acceptance.order import Delivery
from tests.torture.subscriber import Journal

#: How a process may end by itself: its connection went away, or could not be made.
_FAIR_ENDS = re.compile(r"ConnectionEnded|Connection\w+Error|BrokenPipe|TimeoutError|shutting down")

_PATIENCE = 30.0


class SubscriberPool:
    """Keeps so many processes running; ``port`` is where they find the server."""

    def __init__(
        self, port: int, subscriber_id: str, types: tuple[str, Sequence[str]], size: int
    ) -> None:
        self.subscriber_id = subscriber_id
        self.journal = Journal()
        self.ends = 0
        self._command = [
            *(sys.executable, "-m", "tests.acceptance.subscriber_process"),
            *(str(port), subscriber_id, types[0], *types[1]),
        ]
        # Unbuffered, a line would be several writes, and those of two processes would mix.
        self._environment = {**os.environ, "PYTHONUNBUFFERED": ""}
        read, self._write = os.pipe()
        self._size = size
        self._processes: list[subprocess.Popen[bytes]] = []
        self._reader = threading.Thread(target=self._read, args=(read,))
        self._reader.start()

    def fill(self) -> None:
        """Replace those that have ended."""
        assert self._reader.is_alive(), "what the processes print is not read any more"
        for process in [each for each in self._processes if each.poll() is not None]:
            self._processes.remove(process)
            self._reap(process)
        while len(self._processes) < self._size:
            self._processes.append(
                subprocess.Popen(
                    self._command,
                    stdout=self._write,
                    stderr=subprocess.PIPE,
                    env=self._environment,
                )
            )

    def signal(self, at: int, number: signal.Signals) -> None:
        """Send one of them a signal."""
        self._processes[at % len(self._processes)].send_signal(number)

    def go_on(self) -> None:
        """Continue all that are stopped."""
        for each in self._processes:
            each.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """Kill all."""
        for each in self._processes:
            each.kill()
            self._reap(each)
        self._processes.clear()
        os.close(self._write)
        self._reader.join(_PATIENCE)
        assert not self._reader.is_alive()

    def _reap(self, process: subprocess.Popen[bytes]) -> None:
        _, said = process.communicate(timeout=_PATIENCE)
        self.ends += 1
        assert not said or _FAIR_ENDS.search(said.decode()), said.decode()

    def _read(self, descriptor: int) -> None:
        with open(descriptor) as lines:
            for line in lines:
                if line != "subscribed\n":
                    self.journal.deliveries.append(Delivery(*line.split()))
