"""Operations: the page's tables, each against what it is of, so that none goes stale."""

import ast
import re
from collections.abc import Iterator

import httpx
import msgspec
import pytest

from eventuary.delivery.policy import DeliveryPolicy, OnDeadLetter
from eventuary.errors import BadRequest
from eventuary.limits import Limits
from eventuary.server.settings import FILE_KEYS, FILE_TABLES
from tests.docs.page import ROOT, code_in, table_under
from tests.docs.reader import Reader
from tests.docs.serve_options import serve_options

_PAGE = ROOT / "docs/operations.md"

#: Rooms of the server whose log lines the page lists.
_ROOMS = ("server", "delivery", "engines")

#: Options whose name in the file is another.
_IN_FILE = {"api_key": "api_keys", "limit": "[limits]", "delivery": "[delivery]"}

#: What a message's placeholders are shown as.
_PLACEHOLDER = re.compile(r"%(?:s|d|g|\.\d+f)")


def test_its_settings_are_all_there_are() -> None:
    shown = [
        (code_in(option), code_in(variable), code_in(in_file), code_in(default)[:1])
        for option, variable, in_file, default, _ in table_under(_PAGE, "Settings")
    ]
    expected = []
    for option in serve_options():
        variable = option.variable or f"EVENTUARY_{option.name.upper()}_NAME"
        in_file = [] if option.name == "config" else [_IN_FILE.get(option.name, option.name)]
        default = "61613" if option.name == "stomp_port" else option.default
        expected.append(
            (option.flags, [variable], in_file, [] if default is None else [str(default)])
        )
    assert shown == expected
    tables = {f"[{name}]" for name in FILE_TABLES}
    assert {name for _, _, names, _ in shown for name in names} == {*FILE_KEYS, *tables}


def test_its_limits_are_those_of_the_server() -> None:
    rows = table_under(_PAGE, "Limits")
    shown = {code_in(name)[0]: float(default) for name, default, _, _ in rows}
    assert shown == msgspec.to_builtins(Limits())


def test_its_delivery_rules_are_those_of_the_server() -> None:
    default = DeliveryPolicy()
    rows = {code_in(name)[0]: cells for name, *cells in table_under(_PAGE, "Delivery rules")}
    assert list(rows) == list(DeliveryPolicy.__struct_fields__)
    [shown, choices, _] = rows.pop("on_dead_letter")
    assert shown == default.on_dead_letter
    assert choices.split(", ") == list(OnDeadLetter)
    for name, (shown, bounds, _) in rows.items():
        assert float(shown) == getattr(default, name), name
        low, high = (float(each) for each in bounds.split(" to "))
        for good in (low, high):
            msgspec.structs.replace(default, **{name: good}).check()
        for bad in (low * 0.99, high * 1.01):
            with pytest.raises(BadRequest, match=name):
                msgspec.structs.replace(default, **{name: bad}).check()


def test_its_metrics_are_those_of_the_server(host: Reader) -> None:
    scraped = httpx.get(f"{host.url}/metrics", timeout=30).text
    actual = dict(re.findall(r"^# TYPE (eventuary_\w+) (\w+)$", scraped, re.MULTILINE))
    assert {code_in(name)[0]: kind for name, kind, _ in table_under(_PAGE, "Metrics")} == actual
    alerts = _PAGE.read_text().partition("| alert on |")[2].partition("## Log")[0]
    assert set(re.findall(r"eventuary_\w+", alerts)) <= set(actual)


def test_its_log_lines_are_those_of_the_server() -> None:
    shown = {
        (level, code_in(who)[0], code_in(what)[0])
        for level, who, what, _ in table_under(_PAGE, "Log")
    }
    assert shown == set(_logged())


def _logged() -> Iterator[tuple[str, str, str]]:
    """Return level, logger and message of each line that the server's rooms can log."""
    for room in _ROOMS:
        for path in (ROOT / "src/eventuary" / room).rglob("*.py"):
            text = path.read_text()
            logger = re.search(r'^_log = logging\.getLogger\("([\w.]+)"\)$', text, re.MULTILINE)
            for call in ast.walk(ast.parse(text)):
                if (
                    isinstance(call, ast.Call)
                    and isinstance(call.func, ast.Attribute)
                    and isinstance(call.func.value, ast.Name)
                    and call.func.value.id == "_log"
                ):
                    assert logger is not None, path
                    message = ast.literal_eval(call.args[0])
                    level = {"exception": "error"}.get(call.func.attr, call.func.attr)
                    yield level, logger[1], _PLACEHOLDER.sub("…", message)
