"""What a ledger must be, by the log alone; and what it is, read from its database by hand.

Nothing of the code that is judged has a part in it. In a SQL database, a generation holds what is
at or below the position of each swimlane. In MongoDB each document holds what its own guard says.
"""

import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import msgspec
from pymongo import MongoClient
from pymongo.database import Database
from pymongo.errors import OperationFailure

from eventuary.swimlanes import DEFAULT_SWIMLANES, swimlane_of

Document = dict[str, Any]


class Happened(msgspec.Struct, rename="camel"):
    """An event of the log."""

    position: int
    entity_id: str
    event_type: str
    event_data: str
    #: What it says, and where it is delivered: found out once, as each is judged many times.
    said: Any = None
    lane: int = -1

    @property
    def data(self) -> dict[str, str]:
        """What it says."""
        if self.said is None:
            self.said = msgspec.json.decode(self.event_data, type=dict[str, str])
        return cast("dict[str, str]", self.said)

    @property
    def swimlane(self) -> int:
        """Where it is delivered."""
        if self.lane < 0:
            self.lane = swimlane_of("Account", self.entity_id, DEFAULT_SWIMLANES)
        return self.lane


def account_of(account: str, events: list[Happened]) -> Document | None:
    """Return an account's document, as these of its events make it; None: it has none."""
    document: Document | None = None
    for event in events:
        data = event.data
        if event.event_type == "Closed":
            document = None
            continue
        if document is None:
            document = {"account_id": account, "owner": "", "balance": "0", "payments": []}
        if event.event_type == "Opened":
            document["owner"] = data["owner"]
        else:
            document["payments"].append(data["amount"])
            document["balance"] = str(sum(map(Decimal, document["payments"])))
    return document


def branch_of(branch: str, events: list[Happened]) -> Document | None:
    """Return a branch's document, as these of its events make it."""
    if not events:
        return None
    opened = [each for each in events if each.event_type == "Opened"]
    paid = [Decimal(each.data["amount"]) for each in events if each.event_type == "Paid"]
    return {"branchName": branch, "accounts": len(opened), "totalPaid": str(sum(paid, Decimal(0)))}


class Log:
    """The events, by what they change."""

    def __init__(self, events: list[Happened]) -> None:
        self.accounts: dict[str, list[Happened]] = defaultdict(list)
        self.branches: dict[str, list[Happened]] = defaultdict(list)
        for event in events:
            self.accounts[event.entity_id].append(event)
            if event.event_type != "Closed":
                self.branches[event.data["branch"]].append(event)


#: What was judged already, by its name: it, and how many events it holds. While that stays as it is
#: it need not be judged again, as those generations do that are retired.
Judged = dict[str, tuple[object, int]]


def judge_sqlite(
    path: Path, read_log: Callable[[], list[Happened]], judged: Judged
) -> dict[int, int]:
    """Judge all generations in a SQLite file; return how many events each holds."""
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
        connection.execute("BEGIN")
        held = dict(_sqlite_generations(connection))
        log = read_log()  # behind what was read: what is in the view is in the log
        counts = {}
        for number, (positions, accounts, branches) in held.items():
            before, counts[number] = judged.get(str(number), (None, 0))
            if before == held[number]:
                continue
            happened = [each for each in log if each.position <= positions.get(each.swimlane, 0)]
            expected = Log(happened)
            assert accounts == {
                key: document
                for key, events in expected.accounts.items()
                if (document := account_of(key, events)) is not None
            }, f"accounts of generation {number}"
            assert branches == {
                key: branch_of(key, events) for key, events in expected.branches.items()
            }, f"branches of generation {number}"
            counts[number] = len(happened)
            judged[str(number)] = (held[number], counts[number])
    return counts


def _sqlite_generations(
    connection: sqlite3.Connection,
) -> Iterator[tuple[int, tuple[dict[int, int], dict[str, Document], dict[str, Document]]]]:
    numbers = connection.execute(
        "SELECT generation FROM eventuary_view_generations WHERE state <> 'dropped'"
    ).fetchall()
    for (number,) in numbers:
        positions = dict(
            connection.execute(
                "SELECT swimlane, log_position FROM eventuary_view_positions WHERE generation = ?",
                (number,),
            ).fetchall()
        )
        documents = [
            _sqlite_documents(connection, f"ledger_{name}_{number}")
            for name in ("accounts", "branches")
        ]
        yield number, (positions, documents[0], documents[1])


def _sqlite_documents(connection: sqlite3.Connection, table: str) -> dict[str, Document]:
    """Return a table's documents; a generation is there for a moment before its tables are."""
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)).fetchall():
        return {}
    return {
        key: _shown(msgspec.json.decode(document))
        for key, document in connection.execute(f"SELECT * FROM {table}")
    }


def judge_mongodb(
    url: str, read_log: Callable[[], list[Happened]], judged: Judged
) -> dict[int, int]:
    """Judge all documents in a MongoDB database; return how many events the accounts hold."""
    with MongoClient[Document](url) as client:
        found = dict(_mongodb_collections(client.get_default_database()))
    log = Log(read_log())
    counts: dict[int, int] = defaultdict(int)
    for name, documents in found.items():
        _, collection, number = name.split(".")
        before, count = judged.get(name, (None, 0))
        if before != documents:
            count = sum(_judge_document(collection, each, log, name) for each in documents)
            judged[name] = (documents, count)
        if collection == "accounts":
            counts[int(number)] = count
    return dict(counts)


def _mongodb_collections(
    database: Database[Document],
) -> Iterator[tuple[str, list[Document]]]:
    """Return the documents of each collection that is not dropped meanwhile."""
    for name in database.list_collection_names():
        if name.startswith("ledger."):
            try:
                documents = list(database[name].find())
            except OperationFailure:
                if name in database.list_collection_names():
                    raise
                continue
            yield name, documents


def _judge_document(collection: str, stored: Document, log: Log, name: str) -> int:
    """Judge a document; return how many events it holds."""
    fields = {field: value for field, value in stored.items() if not field.startswith("_")}
    key, guard = stored["_id"], stored["_eventuary"]
    of = log.accounts[key] if collection == "accounts" else log.branches[key]
    applied = [each for each in of if each.position <= guard["applied"].get(str(each.swimlane), 0)]
    make = account_of if collection == "accounts" else branch_of
    expected = make(key, applied)
    assert (None if guard.get("deleted") else _shown(fields)) == expected, (name, key)
    return len(applied)


def _shown(document: Document) -> Document:
    """Leave out when an account was opened: the log shows it in the event's id."""
    document.pop("opened_at", None)
    return document
