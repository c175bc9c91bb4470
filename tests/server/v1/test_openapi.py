"""The OpenAPI document is true: schemathesis finds no answer that it does not describe.

Against a real server, keys and all, the routes under /entity/ included.
"""

import asyncio
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from eventuary.limits import Limits
from tests.event_store.recorder import Recorder
from tests.server.v1.calls import new_event
from tests.server.v1.conftest import ADMIN, RunningServer

#: What an old client sends too much is passed over (protocol.md, section 2), in a query too;
#: schemathesis would have it refused. And one string is a list of one in a query, which it would
#: have refused too: test_log_pages.py has the queries that are.
_CONFIGURATION = """
[[operations]]
include-path-regex = "^/entity/"
generation.allow-extra-parameters = false

[[operations]]
include-operation-id = "readLog"
checks.negative_data_rejection.enabled = false
"""

_CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "positive_data_acceptance",
    "missing_required_header",
    "unsupported_method",
    "allow_header_conformance",
    "use_after_free",
    "ignored_auth",
)


#: Limits that tests at their edges reach soon.
_LIMITS = Limits(events_per_append=10, appends_per_call=10, event_data_size=1000)


@pytest.fixture
async def narrow(tmp_path: Path) -> AsyncIterator[RunningServer]:
    """A server with narrow limits, on which nobody waits long for an event that does not come."""
    running = RunningServer(tmp_path / "eventuary.db", longest_wait=0.05, limits=_LIMITS)
    await running.start()
    yield running
    await running.stop()


@pytest.mark.parametrize(
    ("examples", "patience"),
    [
        pytest.param(4, 300, marks=pytest.mark.timeout(400)),
        pytest.param(20, 600, marks=[pytest.mark.torture, pytest.mark.timeout(900)]),
    ],
    ids=["4", "20"],
)
async def test_every_answer_is_described(
    narrow: RunningServer, tmp_path: Path, examples: int, patience: float
) -> None:
    # What the document's examples speak of is there.
    await narrow.store.subscribe(
        "default", "order-history", {"orders.Order": ["OrderCreated"]}, Recorder()
    )
    await narrow.store.create(
        "default",
        "orders.Order",
        [new_event()],
        entity_id="00000192f0a1b2c3-5f3c9a7e12d40000",
    )
    configuration = tmp_path / "schemathesis.toml"
    configuration.write_text(_CONFIGURATION)
    process = await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name("schemathesis"),
        "--config-file",
        configuration,
        "run",
        f"{narrow.url}/openapi.json",
        "--auth",
        ":".join(ADMIN),
        "--checks",
        ",".join(_CHECKS),
        "--max-examples",
        str(examples),
        "--seed",
        "1",
        "--continue-on-failure",
        "--request-timeout",
        "20",
        # A stream has no end, which schemathesis waits for: test_log_stream.py covers it.
        "--exclude-operation-id",
        "followLog",
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(patience):
        output, _ = await process.communicate()
    text = output.decode()
    assert process.returncode == 0, text
    assert re.search(r"[1-9]\d{2,} generated", text), text


async def test_every_operation_is_complete(server: RunningServer) -> None:
    async with server.client(None) as client:
        document = (await client.get("/openapi.json")).json()
    names = set()
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            names.add(operation["operationId"])
            assert operation["summary"], path
            assert operation["description"], path
            assert operation["responses"].keys() >= {"200", "400", "408", "413", "431", "503"}
            assert "example" in next(iter(operation["responses"]["200"]["content"].values())), path
            if path.startswith(("/v1", "/entity", "/metrics")):
                assert operation["security"] == [{"apiKey": []}]
                assert operation["responses"].keys() >= {"401", "403"}
            if "requestBody" in operation:
                assert "415" in operation["responses"]
                assert "example" in operation["requestBody"]["content"]["application/json"]
            assert method in {"get", "post", "put", "delete"}
    assert len(names) == 25
    assert {"createEntity", "updateEntity", "findEntity", "followLog", "metrics"} <= names


async def test_every_route_that_is_answered_is_described(server: RunningServer) -> None:
    """And the other way round: a path of the document answers, and 405 to what it lacks."""
    async with server.client() as client:
        document = (await client.get("/openapi.json")).json()
        for path, methods in document["paths"].items():
            answer = await client.request("PATCH", re.sub(r"\{\w+\}", "x", path))
            assert answer.status_code == 405
            allowed = {each.strip().lower() for each in answer.headers["allow"].split(",")}
            assert allowed == set(methods)
