"""/v1: the page's calls and answers; and that it has every operation, with a call of each."""

import re

import httpx

from tests.docs.page import ROOT, blocks_of, code_in, table_under
from tests.docs.reader import Reader

_PAGE = ROOT / "docs/v1.md"
_TITLE = "/v1: the log, several entities at once, and what operators need"

#: The table's words for what the OpenAPI document says of keys.
_ACCESS = {
    "No key is needed.": "none",
    "Any key for the space.": "read",
    "A key for the space that is not read-only.": "write",
    "A key for all spaces (`*`).": "read, all spaces",
    "A key for all spaces (`*`) that is not read-only.": "write, all spaces",
}


def test_its_calls_are_answered_as_it_shows(reader: Reader) -> None:
    reader.serve("--swimlanes 2")
    reader.read("docs/getting-started.md", only_files=True)
    reader.read("docs/v1.md")
    reader.finish()


def test_it_has_every_operation_and_calls_each(host: Reader) -> None:
    document = httpx.get(f"{host.url}/openapi.json", timeout=30).json()
    operations = {
        f"{method.upper()} {path}": _ACCESS[operation["description"].rpartition("\n")[2]]
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if not path.startswith("/entity/")
    }
    table = {code_in(name)[0]: access for name, _, access in table_under(_PAGE, _TITLE)}
    assert table == operations

    called = set(_calls())
    for operation in operations:
        method, path = operation.split(" ")
        pattern = re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path))
        assert any(re.fullmatch(f"{method} {pattern}", call) for call in called), operation


def _calls() -> list[str]:
    """Return method and path of each call of the page."""
    calls = []
    for block in blocks_of(_PAGE):
        for command in re.findall(r"^\$ (curl .*)$", block.text, re.MULTILINE):
            [path] = re.findall(r"localhost:8080([^\s'?]*)", command)
            given = re.search(r"-X (\w+)", command)
            method = given[1] if given else "POST" if " -d " in command else "GET"
            calls.append(f"{method} {path}")
    return calls
