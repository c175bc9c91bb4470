"""The way to a server's STOMP port: opens connections, each with one subscription on it."""

import asyncio
import ssl

from eventuary.errors import ServiceUnavailable
from eventuary.remote.address import ServerAddress
from eventuary.remote.opening import Unreachable, open_connection
from eventuary.remote.stomp_connection import StompConnection
from eventuary.remote.subscribing import Subscribing
from eventuary.stomp_frames import Version


class Line:
    """``heart_beat``: the interval, in seconds, to ask for; ``patience``: seconds for opening."""

    def __init__(
        self,
        address: ServerAddress,
        tls: ssl.SSLContext | None,
        heart_beat: float,
        patience: float,
    ) -> None:
        self._address = address
        self._tls = tls
        self._heart_beat = heart_beat
        self.patience = patience

    async def open(self, subscribing: Subscribing, *, again: bool) -> StompConnection:
        """Return a connection whose subscription the server has confirmed.

        Raises Unauthorized, Forbidden, BadRequest, ConfigurationError, or ServiceUnavailable for
        what may pass.
        """
        address = self._address
        where = f"STOMP port {address.stomp_port} of {address.host}"
        try:
            connection = await open_connection(
                StompConnection, address.host, address.stomp_port, self._tls
            )
        except Unreachable as error:
            raise ServiceUnavailable(f"{where}: {error}") from None
        try:
            async with asyncio.timeout(self.patience):
                await self._begin(connection, subscribing, again=again)
        except TimeoutError:
            connection.abort()
            raise ServiceUnavailable(f"{where}: no answer in {self.patience:g} seconds") from None
        except BaseException:
            connection.abort()
            raise
        return connection

    async def _begin(
        self, connection: StompConnection, subscribing: Subscribing, *, again: bool
    ) -> None:
        connected = await connection.connect(
            _head(
                "CONNECT",
                {
                    "accept-version": Version.V12.encode(),
                    "host": self._address.host.encode(),
                    # Not escaped: CONNECT never is.
                    "login": self._address.key_id.encode(),
                    "passcode": self._address.secret.encode(),
                    "heart-beat": b"0,%d" % round(self._heart_beat * 1000),
                },
            )
            + b"\n\x00"
        )
        sends, _, _ = connected.headers.get("heart-beat", b"0,0").partition(b",")
        if sends.strip().isdigit() and int(sends):
            connection.expect_heart_beats(int(sends) / 1000)
        await connection.request(_head("SUBSCRIBE", subscribing.headers(again=again)))


def _head(command: str, headers: dict[str, bytes]) -> bytes:
    """Return a frame without the blank line."""
    lines = [command.encode(), *(b"%b:%b" % (n.encode(), v) for n, v in headers.items())]
    return b"".join(line + b"\n" for line in lines)
