"""A streaming replica of a test's PostgreSQL, which can take its primary's place."""

import shutil
import time

from tests.postgres.process import PostgresProcess

#: Seconds until a replica that is not where it should be never will be.
_DEADLINE = 60.0


class PostgresReplica(PostgresProcess):
    """A copy of a server that runs. Started, it follows that server; promoted, it is one."""

    def __init__(self, primary: PostgresProcess) -> None:
        self._primary = primary
        super().__init__()

    def start_in_step(self) -> None:
        """Start it, and let each commit on the primary wait until it is on this one's disk too."""
        self.start()
        self._primary.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
        self._primary.execute("SELECT pg_reload_conf()")
        self._until(self._primary, "SELECT sync_state FROM pg_stat_replication", "sync")

    def catch_up(self) -> None:
        """Return when it shows all that the primary has committed by now."""
        newest = self._primary.execute("SELECT pg_current_wal_flush_lsn()")
        self._until(self, f"SELECT pg_last_wal_replay_lsn() >= '{newest}'", "t")

    def fall_behind(self) -> None:
        """From now on receive nothing of what the primary does, which does not wait for it."""
        self.execute("ALTER SYSTEM SET primary_conninfo = ''")
        self.execute("SELECT pg_reload_conf()")
        self._until(self._primary, "SELECT count(*) FROM pg_stat_replication", "0")

    def promote(self) -> None:
        """Make it a primary, of a timeline of its own; returns when it takes writes."""
        assert self.execute("SELECT pg_promote(wait_seconds => 60)") == "t", self.log

    def _until(self, server: PostgresProcess, question: str, answer: str) -> None:
        deadline = time.monotonic() + _DEADLINE
        while server.execute(question) != answer:
            assert time.monotonic() < deadline, f"{question}: {self.log}"
            time.sleep(0.05)

    def _fill(self) -> str | None:
        user = self._primary._user
        if user is not None:
            shutil.chown(self._data, user, user)
            self._directory.chmod(0o755)
        self._run(
            "pg_basebackup",
            *("--pgdata", str(self._data)),
            *("--dbname", f"{self._primary.url}?application_name=replica"),
            "--write-recovery-conf",
            "--checkpoint=fast",
            user=user,
        )
        return user
