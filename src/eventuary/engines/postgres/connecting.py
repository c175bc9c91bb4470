"""Opening a connection to the primary, and how its session is set up.

All hosts that the URL names are asked at once: one that is dead and one that starts take no time
from the others. The first that takes writes, and is not refused by ``check``, is used.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import asyncpg

from eventuary.engines.postgres.address import Address, Host, quoted
from eventuary.engines.postgres.database import LOST, Connection, describe
from eventuary.errors import ServiceUnavailable

#: Seconds until a connection that is not made counts as refused.
_CONNECT_TIMEOUT = 5.0

#: Seconds until one that is not ended, because its server stands still, is left as it is.
_CLOSE_TIMEOUT = 2.0

#: Seconds until a host that was not the primary is asked again, while another gives no answer.
_ASK_AGAIN_AFTER = 0.5

#: Levels of synchronous_commit at which a commit returns after its flush to disk.
_DURABLE = ("on", "remote_apply")

#: What every session of ours sets. Plans are the same whatever is known of the tables' contents:
#: a table that was empty when a plan was made must not be read from end to end ever after.
_SETTINGS = {
    "application_name": "eventuary",
    "enable_seqscan": "off",
    "jit": "off",
    "lock_timeout": "10s",
    "idle_in_transaction_session_timeout": "10s",
    "default_transaction_isolation": "read committed",
    # The database notices by itself that our machine has vanished.
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "3",
    "tcp_keepalives_count": "3",
}

#: Is called with a new connection before anything is done with it; raises if it is not to be used.
Check = Callable[[Connection], Awaitable[None]]


async def _any(_connection: Connection) -> None:
    """Find nothing wrong with any connection."""


async def connect(address: Address, *, durable: bool = True, check: Check = _any) -> Connection:
    """Open a connection. Raises what asyncpg raises, and what ``check`` does.

    ``durable``: a commit returns after its flush to disk; otherwise it waits for nothing.
    """

    async def open_one(host: Host, pause: float = 0.0) -> Connection:
        await asyncio.sleep(pause)
        return await _open(address, host, durable, check)

    if len(address.hosts) == 1:
        return await open_one(address.hosts[0])
    first = {asyncio.create_task(open_one(host)): host for host in address.hosts}
    attempts = dict(first)
    failures: dict[str, BaseException] = {}
    chosen: Connection | None = None
    try:
        # While one gives no answer, those that were not the primary are asked again.
        while chosen is None and not all(attempt.done() for attempt in first):
            done, _ = await asyncio.wait(attempts, return_when=asyncio.FIRST_COMPLETED)
            for attempt in done:
                host = attempts.pop(attempt)
                error = attempt.exception()
                if error is None:
                    if chosen is not None:
                        chosen.terminate()
                    chosen = attempt.result()
                else:
                    failures[host.name] = error
                    attempts[asyncio.create_task(open_one(host, _ASK_AGAIN_AFTER))] = host
    finally:
        for attempt in attempts:
            attempt.cancel()
            attempt.add_done_callback(_discard)
    if chosen is None:
        raise _failure(failures)
    return chosen


async def disconnect(connection: Connection) -> None:
    """End a connection: properly, if its server soon says that it is ended.

    Never fails: whatever was done over it is done.
    """
    with contextlib.suppress(*LOST, asyncpg.PostgresError):
        await connection.close(timeout=_CLOSE_TIMEOUT)
        return
    connection.terminate()


async def _open(address: Address, host: Host, durable: bool, check: Check) -> Connection:
    try:
        async with asyncio.timeout(_CONNECT_TIMEOUT):
            connection: Connection = await asyncpg.connect(
                host.dsn,
                timeout=_CONNECT_TIMEOUT,
                server_settings={**_SETTINGS, "search_path": quoted(address.schema)},
                target_session_attrs=address.wanted,
            )
            try:
                if not durable:
                    await connection.execute("SET synchronous_commit = off")
                elif await connection.fetchval("SHOW synchronous_commit") not in _DURABLE:
                    await connection.execute("SET synchronous_commit = on")
                await check(connection)
            except BaseException:
                connection.terminate()
                raise
    except asyncpg.TargetServerAttributeNotMatched as error:
        raise ConnectionError("this database server is a standby, or takes no writes") from error
    return connection


def _discard(attempt: "asyncio.Task[Connection]") -> None:
    """Close what an attempt has opened that nobody waits for any more."""
    if not attempt.cancelled() and attempt.exception() is None:
        attempt.result().terminate()


def _failure(errors: dict[str, BaseException]) -> BaseException:
    """Return what is raised when no host will do: of what we can't name, the error itself."""
    told = []
    for name, error in errors.items():
        if not isinstance(error, (*LOST, asyncpg.PostgresError, ServiceUnavailable)):
            return error
        told.append(f"{name}: {describe(error)}")
    return ConnectionError("no host is the primary: " + "; ".join(told))
