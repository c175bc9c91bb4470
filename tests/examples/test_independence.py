"""The services share nothing but events, and what any service needs to be a process."""

import ast
import sys
from pathlib import Path

import pytest

from tests.acceptance.service_process import EXAMPLES

_PACKAGE = EXAMPLES / "customers_and_orders"
_SERVICES = ("customers", "orders", "order_history", "notifications")
_SHARED = {"events", "json_shapes", "service", "serving"}


def _imports(path: Path) -> set[str]:
    """Return the modules that a file imports."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            found.add(node.module or "")
        elif isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
    return found


def _rooms(path: Path) -> set[str]:
    """Return the parts of the example that a file imports."""
    return {
        module.split(".")[1]
        for module in _imports(path)
        if module.startswith("customers_and_orders.")
    }


@pytest.mark.parametrize("name", _SERVICES)
def test_a_service_knows_of_others_their_events_alone(name: str) -> None:
    files = list((_PACKAGE / name).glob("*.py"))
    assert len(files) > 3
    for file in files:
        assert _rooms(file) <= _SHARED | {name}, file


@pytest.mark.parametrize("name", sorted(_SHARED))
def test_what_is_shared_knows_no_service(name: str) -> None:
    files = list((_PACKAGE / name).glob("*.py")) or [_PACKAGE / f"{name}.py"]
    for file in files:
        assert _rooms(file) <= _SHARED, file


@pytest.mark.parametrize(
    "file", ["customers/customer.py", "customers/credit_check.py", "orders/order.py"]
)
def test_domain_code_knows_events_and_nothing_else(file: str) -> None:
    imports = _imports(_PACKAGE / file)
    assert _rooms(_PACKAGE / file) == {"events"}
    others = {each.split(".")[0] for each in imports} - {"customers_and_orders", "eventuary"}
    assert others <= sys.stdlib_module_names
