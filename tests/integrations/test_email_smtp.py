"""E-mail by SMTP, to a real server: aiosmtpd on a socket."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

import aiosmtplib
import pytest
import trustme
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword

from eventuary import Refused
from eventuary.integrations.email import open_mailer

KEY = "000001a213f53c1e-59dae80b0c6f0000.Y2xlcms"


class Office:
    """Takes what it is given, unless it has another answer for it."""

    def __init__(self) -> None:
        self.taken: list[Envelope] = []
        self.secure: list[bool] = []
        self.to_recipient: dict[str, str] = {}
        self.to_data = "250 Message accepted as 17"

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: Any, session: Any, envelope: Envelope, address: str, options: Any
    ) -> str:
        answer = self.to_recipient.get(address, "250 OK")
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server: Any, session: Any, envelope: Envelope) -> str:  # noqa: N802
        if self.to_data.startswith("250"):
            self.taken.append(envelope)
            self.secure.append(server.transport.get_extra_info("sslcontext") is not None)
        return self.to_data


@asynccontextmanager
async def serving(
    office: Office, *, tls: ssl.SSLContext | None = None, implicit: bool = False, **settings: Any
) -> AsyncIterator[int]:
    """Serve; the port."""
    loop = asyncio.get_running_loop()

    def session() -> SMTP:
        return SMTP(office, loop=loop, tls_context=None if implicit else tls, **settings)

    server = await loop.create_server(session, "127.0.0.1", 0, ssl=tls if implicit else None)
    async with server:
        yield server.sockets[0].getsockname()[1]


def letter(*recipients: str) -> EmailMessage:
    message = EmailMessage()
    message["From"] = "orders@shop.example"
    message["To"] = ", ".join(recipients or ["ada@customers.example"])
    message["Subject"] = "Hello"
    message["Bcc"] = "audit@shop.example"
    message.set_content("hello\n")
    return message


async def test_it_arrives_with_its_key_and_the_answer_is_the_receipt() -> None:
    office = Office()
    async with serving(office) as port, open_mailer(f"smtp://127.0.0.1:{port}") as mailer:
        assert await mailer.send(letter(), KEY) == "Message accepted as 17"
    [envelope] = office.taken
    assert envelope.mail_from == "orders@shop.example"
    assert envelope.rcpt_tos == ["ada@customers.example", "audit@shop.example"]
    assert isinstance(envelope.content, bytes)
    read = message_from_bytes(envelope.content, policy=default)
    assert (read["Subject"], read["X-Eventuary-Key"], read["Bcc"]) == ("Hello", KEY, None)


async def test_an_answer_for_good_to_all_recipients_is_a_refusal() -> None:
    office = Office()
    office.to_recipient = dict.fromkeys(
        ("ada@customers.example", "audit@shop.example"), "550 No such mailbox"
    )
    async with serving(office) as port, open_mailer(f"smtp://127.0.0.1:{port}") as mailer:
        with pytest.raises(Refused, match="the mail server says 550 No such mailbox; 550 No such"):
            await mailer.send(letter(), KEY)
        # One of them may yet be reached: that is no answer for good.
        office.to_recipient["audit@shop.example"] = "450 Try again later"
        with pytest.raises(aiosmtplib.SMTPRecipientsRefused):
            await mailer.send(letter(), KEY)
        # It was taken for one of them: it is sent.
        del office.to_recipient["audit@shop.example"]
        await mailer.send(letter(), KEY)
    assert [each.rcpt_tos for each in office.taken] == [["audit@shop.example"]]


@pytest.mark.parametrize(
    ("answer", "error"),
    [("554 Spam", Refused), ("451 Greylisted", aiosmtplib.SMTPDataError)],
)
async def test_the_answer_to_the_message_decides(answer: str, error: type[Exception]) -> None:
    office = Office()
    office.to_data = answer
    async with serving(office) as port, open_mailer(f"smtp://127.0.0.1:{port}") as mailer:
        with pytest.raises(error, match=answer.partition(" ")[2]):
            await mailer.send(letter(), KEY)


async def test_a_server_that_is_down_is_no_refusal() -> None:
    with socket.socket() as nobody_listens:
        nobody_listens.bind(("127.0.0.1", 0))
        mailer = open_mailer(f"smtp://127.0.0.1:{nobody_listens.getsockname()[1]}")
        with pytest.raises(aiosmtplib.SMTPConnectError):
            await mailer.send(letter(), KEY)


def _only_ada(_: Any, __: Any, ___: Any, ____: str, data: LoginPassword) -> AuthResult:
    right = (data.login, data.password) == (b"ada@shop", b"p@ss/word")
    return AuthResult(success=right, handled=False)


@pytest.fixture
def tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """A server's; its authority is trusted by this process."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
    return context


@pytest.mark.parametrize(
    ("options", "implicit"),
    [("", False), ("?tls=starttls", False), ("?tls=implicit", True)],
)
async def test_it_logs_in_over_tls(tls: ssl.SSLContext, options: str, *, implicit: bool) -> None:
    office = Office()
    settings = {"authenticator": _only_ada, "auth_require_tls": not implicit}
    async with serving(office, tls=tls, implicit=implicit, **settings) as port:
        address = f"localhost:{port}{options}"
        async with open_mailer(f"smtp://ada%40shop:p%40ss%2Fword@{address}") as mailer:
            await mailer.send(letter(), KEY)
        async with open_mailer(f"smtp://ada%40shop:guess@{address}") as mailer:
            # Not about the message: whoever corrects the password gets it sent.
            with pytest.raises(aiosmtplib.SMTPAuthenticationError):
                await mailer.send(letter(), KEY)
    assert office.secure == [True]


@pytest.mark.parametrize(("options", "secure"), [("?tls=none", False), ("", True)])
async def test_tls_is_used_where_it_is_offered_unless_told_otherwise(
    tls: ssl.SSLContext, options: str, *, secure: bool
) -> None:
    office = Office()
    async with (
        serving(office, tls=tls) as port,
        open_mailer(f"smtp://localhost:{port}{options}") as mailer,
    ):
        await mailer.send(letter(), KEY)
    assert office.secure == [secure]


async def test_tls_that_is_wanted_and_not_offered_sends_nothing() -> None:
    office = Office()
    async with (
        serving(office) as port,
        open_mailer(f"smtp://localhost:{port}?tls=starttls") as mailer,
    ):
        with pytest.raises(aiosmtplib.SMTPException, match="STARTTLS"):
            await mailer.send(letter(), KEY)
    assert office.taken == []
