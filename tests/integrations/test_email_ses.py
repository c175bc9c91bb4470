"""E-mail through Amazon SES, over real HTTP, to moto's server in a process of its own."""

import asyncio
from collections.abc import Iterator
from email.message import EmailMessage

import pytest

from eventuary import ConfigurationError, Refused
from eventuary.integrations.email import open_mailer
from tests.integrations.moto_process import ENVIRONMENT, MotoProcess

KEY = "000001a213f53c1e-59dae80b0c6f0000.Y2xlcms"


@pytest.fixture(scope="module")
def moto() -> Iterator[MotoProcess]:
    with MotoProcess("shop.example") as moto:
        yield moto


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


def letter(subject: str, sender: str = "Shop <orders@shop.example>") -> EmailMessage:
    message = EmailMessage()
    message["From"] = sender
    message["To"] = "Ada <ada@customers.example>"
    message["Subject"] = subject
    message.set_content("Grüße\n")
    return message


async def test_it_arrives_as_it_was_written_with_its_key(moto: MotoProcess) -> None:
    async with open_mailer(moto.mailer_url) as mailer:
        receipt = await mailer.send(letter("Hällo"), KEY)
    assert receipt == moto.ids()[-1]
    sent = moto.sent()[-1]
    assert sent["From"] == "Shop <orders@shop.example>"
    assert sent["To"] == "Ada <ada@customers.example>"
    assert sent["Subject"] == "Hällo"
    assert sent["X-Eventuary-Key"] == KEY
    assert sent.get_content().strip() == "Grüße"


async def test_many_at_once(moto: MotoProcess) -> None:
    before = len(moto.ids())
    async with open_mailer(moto.mailer_url) as mailer:
        receipts = await asyncio.gather(
            *(mailer.send(letter(f"{number}"), KEY) for number in range(30))
        )
    assert len(set(receipts)) == 30
    assert set(moto.ids()[before:]) == set(receipts)


async def test_a_sender_that_is_not_verified_is_refused_for_good(moto: MotoProcess) -> None:
    before = len(moto.ids())
    async with open_mailer(moto.mailer_url) as mailer:
        with pytest.raises(Refused, match=r"SES says MessageRejected: .*orders@elsewhere\.example"):
            await mailer.send(letter("no", "orders@elsewhere.example"), KEY)
    assert len(moto.ids()) == before


async def test_what_has_no_recipient_is_refused_before_it_is_sent(moto: MotoProcess) -> None:
    nowhere = letter("nowhere")
    del nowhere["To"]
    async with open_mailer(moto.mailer_url) as mailer:
        with pytest.raises(Refused, match="neither To nor Cc nor Bcc"):
            await mailer.send(nowhere, KEY)


async def test_a_service_that_is_down_is_no_refusal_and_is_asked_once() -> None:
    with MotoProcess("shop.example") as moto:
        async with open_mailer(moto.mailer_url) as mailer:
            moto.stop()
            with pytest.raises(Exception, match="Could not connect") as raised:
                await mailer.send(letter("later"), KEY)
            assert not isinstance(raised.value, Refused)
            moto.start()
            await mailer.send(letter("now"), KEY)
            assert [each["Subject"] for each in moto.sent()] == ["now"]


async def test_errors_of_the_account_are_no_refusals() -> None:
    """Over a server that answers as SES does: moto plays no such errors."""
    asked = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        await reader.readuntil(b"\r\n\r\n")
        asked += 1
        body = b'{"message": "Maximum sending rate exceeded."}'
        writer.write(
            b"HTTP/1.1 429 Too Many Requests\r\nx-amzn-errortype: TooManyRequestsException\r\n"
            b"content-type: application/json\r\nconnection: close\r\n"
            b"content-length: %d\r\n\r\n%b" % (len(body), body)
        )
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, open_mailer(f"ses:?region=eu-1&endpoint=http://127.0.0.1:{port}") as mailer:
        with pytest.raises(Exception, match="TooManyRequestsException") as raised:
            await mailer.send(letter("slower"), KEY)
    assert not isinstance(raised.value, Refused)
    assert asked == 1, "repetitions are the caller's"


async def test_without_a_region_it_does_not_open(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    with pytest.raises(ConfigurationError, match="ses: You must specify a region"):
        async with open_mailer("ses:"):
            pass
    with pytest.raises(RuntimeError, match="the mailer is not open"):
        await open_mailer("ses:?region=eu-central-1").send(letter("early"), KEY)
