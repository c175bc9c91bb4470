"""Operations: the page's commands, its backups, and its systemd unit."""

import configparser
import shlex
import shutil
import sqlite3
import tomllib
from collections.abc import Callable

import httpx
import pytest

from tests.acceptance.load import Writer
from tests.acceptance.waiting import wait_until
from tests.docs.page import ROOT, blocks_of
from tests.docs.reader import Reader
from tests.docs.serve_options import serve_options

_PAGE = ROOT / "docs/operations.md"


def test_its_commands_do_what_it_shows(reader: Reader) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("the page uses openssl, which this machine does not have")
    reader.read("docs/operations.md")
    reader.finish()


@pytest.mark.parametrize(
    "copy",
    [
        lambda source, target: source.execute("VACUUM INTO ?", [target]),
        lambda source, target: source.backup(sqlite3.connect(target)),
    ],
    ids=["VACUUM INTO", "backup()"],
)
def test_a_backup_is_whole_while_writers_are_at_work(
    reader: Reader, copy: Callable[[sqlite3.Connection, str], object]
) -> None:
    reader.serve()
    target = str(reader.folder / "backup.db")
    writers = [Writer(reader.url, f"w{n}", n) for n in range(2)]
    for writer in writers:
        writer.start()
    try:
        wait_until(lambda: all(each.acknowledged > 20 for each in writers), "writers get on")
        before = {event_id for each in writers for event_id in _acknowledged(each)}
        copy(sqlite3.connect(reader.folder / "eventuary.db"), target)
        wait_until(
            lambda: sum(len(_acknowledged(each)) for each in writers) > len(before) + 100,
            "writers go on",
        )
    finally:
        for writer in writers:
            writer.stop()
    backup = sqlite3.connect(target)
    assert backup.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    stored = backup.execute("SELECT position, event_id FROM events ORDER BY position").fetchall()
    assert [position for position, _ in stored] == list(range(1, len(stored) + 1))
    assert before <= {event_id for _, event_id in stored}


def test_its_unit_starts_a_server_that_can_be(reader: Reader) -> None:
    [text] = [block.text for block in blocks_of(_PAGE) if block.language == "ini"]
    unit = configparser.ConfigParser(interpolation=None)
    unit.read_string(text)
    program, command, *options = shlex.split(unit["Service"]["ExecStart"])
    assert (program.rpartition("/")[2], command) == ("eventuary", "serve")
    known = {flag for option in serve_options() for flag in option.flags}
    assert {each for each in options if each.startswith("--")} <= known
    state = f"/var/lib/{unit['Service']['StateDirectory']}/"
    assert options[options.index("--engine") + 1].startswith(f"sqlite:{state}")
    # In a folder of the reader's in place of the system's.
    reader.read("docs/operations.md", only_files=True)
    options[options.index("--config") + 1] = "eventuary.toml"
    options[options.index("--engine") + 1] = "sqlite:unit.db"
    reader.serve(shlex.join(options))
    given = tomllib.loads((reader.folder / "eventuary.toml").read_text())
    [key_id, secret] = given["api_keys"][0].split(":")
    answer = httpx.get(f"{reader.url}/v1/spaces/default/log", auth=(key_id, secret), timeout=30)
    assert answer.status_code == 200
    assert (reader.folder / "unit.db").exists()


def _acknowledged(writer: Writer) -> list[str]:
    """Return the ids of the events that a writer was told are stored."""
    return [
        event_id
        for batches in list(writer.batches.values())
        for batch in list(batches)
        for event_id in batch.event_ids
    ]
