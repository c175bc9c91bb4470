"""nats-py's client, changed in what a server of ours needs otherwise."""

from nats.aio.client import Client
from nats.aio.transport import TcpTransport
from nats.errors import Error


class ClusterClient(Client):
    """Leaves a node without waiting for it, and then goes on with the next one."""

    def go_round(self) -> None:
        """From now on try nodes in turn, and for ever: one that failed, or was left, comes last.

        Not before there is a connection: until then a client gives up at some time, and several
        of them do not begin with the same node.
        """
        self.options["dont_randomize"] = True
        self.options["max_reconnect_attempts"] = -1

    def hang_up(self) -> None:
        """End the connection at once, with what was not sent.

        A node that stands still, or whose cable was pulled, takes nothing any more: it would be
        waited for until TCP gives up, which is a quarter of an hour.
        """
        self._pending = []
        self._pending_data_size = 0
        transport = self._transport
        if isinstance(transport, TcpTransport) and transport._io_writer is not None:
            transport._io_writer.transport.abort()

    async def _attempt_reconnect(self) -> None:
        self.hang_up()
        await super()._attempt_reconnect()

    async def _process_err(self, err_msg: str) -> None:
        """Connect anew, whatever a node complains of: the library would never come back."""
        if not self.is_connected or "permissions violation" in err_msg.lower():
            await super()._process_err(err_msg)
            return
        complaint = Error("nats: " + err_msg.strip("'"))
        await self._error_cb(complaint)
        await self._process_op_err(complaint)

    @staticmethod
    def _parse_header_lines(raw: bytes) -> dict[str, str]:
        """Without the library's care for mails: half the time of a read of the log was its."""
        lines = (line.partition(":") for line in raw.decode("utf-8", "replace").split("\r\n"))
        return {name: value.strip() for name, colon, value in lines if colon}
