"""The outbox: an e-mail is there as a whole or not at all, and once for its key."""

import resource
import threading
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path

import pytest

from eventuary.integrations.email import open_mailer
from eventuary.integrations.email.outbox import Outbox

KEY = "00000192f0a1b2c3-5f3c9a7e12d40001.bm90aWZpY2F0aW9ucw"


def letter() -> EmailMessage:
    message = EmailMessage()
    message["From"] = "orders@shop.example"
    message["To"] = "ada@customers.example"
    message["Bcc"] = "audit@shop.example"
    message.set_content("hello\n")
    return message


async def test_it_lies_in_the_folder_for_whoever_sends_it(tmp_path: Path) -> None:
    async with open_mailer(f"outbox:{tmp_path}/mail/out") as mailer:
        assert await mailer.send(letter(), KEY) == f"{KEY}.eml"
    file = tmp_path / "mail" / "out" / f"{KEY}.eml"
    read = message_from_bytes(file.read_bytes(), policy=default)
    assert (read["To"], read["Bcc"]) == ("ada@customers.example", "audit@shop.example")
    assert read["X-Eventuary-Key"] == KEY


def test_a_second_one_of_its_key_is_not_written(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path)
    outbox.put(letter(), KEY)
    [file] = tmp_path.iterdir()
    before = file.stat()
    assert outbox.put(letter(), KEY) == file.name
    assert Outbox(tmp_path).put(letter(), KEY) == file.name
    assert list(tmp_path.iterdir()) == [file]
    assert (file.stat().st_mtime_ns, file.stat().st_ino) == (before.st_mtime_ns, before.st_ino)


def test_those_who_write_it_at_once_write_one(tmp_path: Path) -> None:
    barrier = threading.Barrier(8)

    def put() -> None:
        barrier.wait()
        Outbox(tmp_path).put(letter(), KEY)

    threads = [threading.Thread(target=put) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    [file] = tmp_path.iterdir()
    assert file.read_bytes().endswith(b"\r\n\r\nhello\r\n")


def test_what_can_not_be_written_is_raised_and_leaves_nothing_to_be_sent(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        Outbox(tmp_path / "file").put(letter(), KEY)
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_a_half_written_email_is_no_email(tmp_path: Path) -> None:
    _, most = limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, most))  # as on a disk that is full by then
    try:
        with pytest.raises(OSError, match="too large"):
            Outbox(tmp_path).put(letter(), KEY)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []
    assert Outbox(tmp_path).put(letter(), KEY) == f"{KEY}.eml"


def test_a_key_that_is_too_long_for_a_name_is_still_one_of_its_own(tmp_path: Path) -> None:
    keys = [KEY + "x" * 400, KEY + "x" * 399 + "y"]
    names = {Outbox(tmp_path).put(letter(), key) for key in keys * 2}
    assert len(names) == 2
    assert {each.name for each in tmp_path.iterdir()} == names
