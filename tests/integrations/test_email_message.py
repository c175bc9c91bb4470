"""What is handed to a mail server: pure ASCII, who it is from and to, the key, and no Bcc."""

from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default

import pytest

from eventuary import Refused
from eventuary.integrations.email.message import enveloped

KEY = "000001a213f53c1e-59dae80b0c6f0000.Y2xlcms"


def letter() -> EmailMessage:
    message = EmailMessage()
    message["From"] = "Shop <orders@shop.example>"
    message["To"] = "Ada <ada@customers.example>, bob@customers.example"
    message["Subject"] = "Hällo"
    message.set_content("Grüße\n")
    return message


def test_it_is_ascii_and_reads_as_it_was_written() -> None:
    envelope = enveloped(letter(), KEY)
    assert envelope.data.isascii()
    assert b"\n" not in envelope.data.replace(b"\r\n", b"")
    read = message_from_bytes(envelope.data, policy=default)
    assert isinstance(read, EmailMessage)
    assert read["Subject"] == "Hällo"
    assert read.get_content() == "Grüße\n"
    assert read["X-Eventuary-Key"] == KEY


def test_the_key_is_never_folded() -> None:
    key = KEY + "x" * 400
    assert enveloped(letter(), key).data.startswith(f"X-Eventuary-Key: {key}\r\n".encode())


def test_the_message_itself_stays_as_it_is() -> None:
    message = letter()
    before = message.as_bytes()
    enveloped(message, KEY)
    assert message.as_bytes() == before


def test_it_goes_to_all_and_shows_nobody_hidden() -> None:
    message = letter()
    message["Cc"] = "cleo@customers.example"
    message["Bcc"] = ", ".join(f"hidden-{number}@customers.example" for number in range(9))
    envelope = enveloped(message, KEY)
    assert envelope.sender == "orders@shop.example"
    assert envelope.recipients[:3] == [
        "ada@customers.example",
        "bob@customers.example",
        "cleo@customers.example",
    ]
    assert len(envelope.recipients) == 12
    assert b"hidden" not in envelope.data
    assert b"bcc" not in envelope.data.lower()
    read = message_from_bytes(envelope.data, policy=default)
    assert (read["Cc"], read["Subject"]) == ("cleo@customers.example", "Hällo")
    assert b"hidden-8" in enveloped(message, KEY, keep_bcc=True).data


def test_a_sender_goes_before_those_it_is_from() -> None:
    message = letter()
    message["Sender"] = "robot@shop.example"
    assert enveloped(message, KEY).sender == "robot@shop.example"


@pytest.mark.parametrize(
    ("field", "said"),
    [("From", "has no From"), ("To", "has neither To nor Cc nor Bcc")],
)
def test_what_nobody_could_send_is_refused(field: str, said: str) -> None:
    message = letter()
    del message[field]
    with pytest.raises(Refused, match=said):
        enveloped(message, KEY)


@pytest.mark.parametrize("key", ["", ".hidden", "a b", "a\r\nBcc: x@y.example", "a/b", "ü"])
def test_a_key_that_is_none_is_a_mistake(key: str) -> None:
    with pytest.raises(ValueError, match="key: "):
        enveloped(letter(), key)
