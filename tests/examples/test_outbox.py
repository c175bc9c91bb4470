"""The outbox: an e-mail is there as a whole or not at all, and once for its name."""

import resource
import threading
from datetime import UTC, datetime
from decimal import Decimal
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path

import pytest

from customers_and_orders.notifications.confirmation import confirmation
from customers_and_orders.notifications.outbox import Outbox

_TOKEN = "00000192f0a1b2c3-5f3c9a7e12d40001.bm90aWZpY2F0aW9ucw"


def _email() -> EmailMessage:
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    return confirmation("ada", "order-1", Decimal("12.3"), noon, _TOKEN)


def test_an_email_says_what_is_approved(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "mail" / "out")
    assert outbox.put(_TOKEN, _email())
    [file] = outbox.folder.iterdir()
    assert file.name == f"{_TOKEN}.eml"
    read = message_from_bytes(file.read_bytes(), policy=SMTP)
    assert isinstance(read, EmailMessage)
    assert read["To"] == "ada@customers.example"
    assert read["Subject"] == "Your order order-1 is approved"
    assert _TOKEN in read["Message-ID"]
    assert read["Date"].datetime == datetime(2026, 1, 1, 12, tzinfo=UTC)
    assert "12.30" in read.get_content()


def test_a_second_one_of_its_name_is_not_written(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path)
    assert outbox.put(_TOKEN, _email())
    [file] = tmp_path.iterdir()
    before = file.stat()
    assert not outbox.put(_TOKEN, _email())
    assert not Outbox(tmp_path).put(_TOKEN, _email())
    assert list(tmp_path.iterdir()) == [file]
    assert (file.stat().st_mtime_ns, file.stat().st_ino) == (before.st_mtime_ns, before.st_ino)


def test_those_who_write_it_at_once_write_one(tmp_path: Path) -> None:
    barrier = threading.Barrier(8)

    def put() -> None:
        barrier.wait()
        Outbox(tmp_path).put(_TOKEN, _email())

    threads = [threading.Thread(target=put) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    [file] = tmp_path.iterdir()
    assert file.read_bytes() == _email().as_bytes(policy=SMTP)


def test_the_same_event_makes_the_same_email() -> None:
    assert _email().as_bytes() == _email().as_bytes()


def test_a_customer_id_can_not_smuggle_an_address(tmp_path: Path) -> None:
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    odd = confirmation("a, b@evil.example", "order-1", Decimal(1), noon, _TOKEN)
    [address] = odd["To"].addresses
    assert (address.username, address.domain) == ("a, b@evil.example", "customers.example")


def test_what_can_not_be_written_is_raised_and_leaves_nothing_to_be_sent(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        Outbox(tmp_path / "file").put(_TOKEN, _email())
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_a_half_written_email_is_no_email(tmp_path: Path) -> None:
    _, most = limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, most))  # as on a disk that is full by then
    try:
        with pytest.raises(OSError, match="too large"):
            Outbox(tmp_path).put(_TOKEN, _email())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []
    assert Outbox(tmp_path).put(_TOKEN, _email())
    assert [each.name for each in tmp_path.iterdir()] == [f"{_TOKEN}.eml"]
