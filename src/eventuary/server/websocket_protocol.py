"""uvicorn's WebSocket protocol, but for one thing: text that is no UTF-8 is its sender's fault.

It is told so (RFC 6455, section 7.4.1: close code 1007); our log need not be. uvicorn logs a
traceback for each, so that anybody could fill the disk with them.
"""

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode
from websockets.protocol import State


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """One WebSocket."""

    def send_receive_event_to_app(self) -> None:
        """Hand on a whole message."""
        if self.curr_msg_data_type == "text" and not self.close_sent:
            try:
                b"".join(self.frames).decode()
            except UnicodeDecodeError:
                self.frames = []
                if self.conn.state is State.OPEN:  # else a close frame came with it: handled next
                    self.conn.send_close(CloseCode.INVALID_DATA, "text that is not UTF-8")
                    self.handle_parser_exception()
                return
        super().send_receive_event_to_app()
