"""The commands over PostgreSQL: its schema as SQL, keys, and a server that is given its URL."""

import asyncio
import signal
from pathlib import Path

import asyncpg
import httpx

from tests.cli.running import run, serving
from tests.postgres.process import PostgresProcess

CREATION = {
    "entityTypeName": "orders.Order",
    "events": [{"eventType": "OrderCreated", "eventData": "{}"}],
}


def test_the_printed_schema_is_what_a_server_needs(
    postgres: PostgresProcess, postgres_url: str, tmp_path: Path
) -> None:
    schema = postgres_url.rpartition("=")[2]
    printed = run("schema", "postgresql", "--schema", schema, cwd=tmp_path)
    assert (printed.returncode, printed.stderr) == (0, "")

    async def apply(sql: str) -> None:
        connection = await asyncpg.connect(postgres.url)
        await connection.execute(sql)
        await connection.execute(f"DROP ROLE IF EXISTS {schema}; CREATE ROLE {schema} LOGIN")
        grants = [line[3:] for line in sql.splitlines() if line.startswith("-- GRANT")]
        assert len(grants) == 6
        for grant in grants:
            await connection.execute(grant.replace("eventuary_server", schema))
        await connection.close()

    asyncio.run(apply(printed.stdout))
    url = f"{postgres.url_of(schema)}?schema={schema}"
    with serving("--engine", url, cwd=tmp_path) as server:
        assert (
            httpx.post(f"{server.url}/entity/default", json=CREATION, timeout=30).status_code == 200
        )
        assert server.becomes_ready()
        assert server.end(signal.SIGTERM) == 0
        assert server.output() == ("", "")


def test_a_name_that_can_be_no_schema_is_refused(tmp_path: Path) -> None:
    result = run("schema", "postgresql", "--schema", "", cwd=tmp_path)
    assert (result.returncode, result.stdout) == (2, "")
    assert "schema '' is not 1 to 63 bytes" in result.stderr


def test_keys_and_servers_over_one_database(postgres_url: str, tmp_path: Path) -> None:
    missing = run("keys", "list", "--engine", postgres_url, cwd=tmp_path)
    assert missing.returncode == 2
    assert "there is no database" in missing.stderr
    added = run("keys", "add", "ops", "--engine", postgres_url, cwd=tmp_path)
    assert added.returncode == 0
    key = tuple(added.stdout.strip().split(":", 1))
    arguments = ("--engine", postgres_url, "--host", "0.0.0.0")
    with serving(*arguments, cwd=tmp_path) as one, serving(*arguments, cwd=tmp_path) as two:
        urls = [f"http://127.0.0.1:{server.http_port}" for server in (one, two)]
        created = httpx.post(
            f"{urls[0]}/entity/default", json=CREATION, auth=(key[0], key[1]), timeout=30
        )
        assert created.status_code == 200
        target = f"{urls[1]}/entity/default/orders.Order/{created.json()['entityId']}"
        assert httpx.get(target, timeout=30).status_code == 401
        assert len(httpx.get(target, auth=(key[0], key[1]), timeout=30).json()["events"]) == 1


def test_no_password_is_shown(postgres: PostgresProcess, postgres_url: str, tmp_path: Path) -> None:
    url = postgres_url.replace("postgres@", "postgres:hush@")
    with serving("--engine", url, cwd=tmp_path) as server:
        assert "hush" not in server.line
        assert "postgres:***@" in server.line
    failed = run("serve", "--engine", url.replace("/postgres?", "/nowhere?"), cwd=tmp_path)
    assert failed.returncode == 2
    assert "nowhere" in failed.stderr
    assert "hush" not in failed.stderr
    assert len(failed.stderr.splitlines()) == 1
