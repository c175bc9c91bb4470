"""TLS to the database: who it is is checked, and a database without it is not believed."""

import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trustme

from eventuary.engines.opening import open_engine
from eventuary.errors import ConfigurationError
from tests.engines.contract import ORDER, creation
from tests.postgres.process import PostgresProcess
from tests.postgres.tls import with_tls


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def trusted(authority: trustme.CA, tmp_path: Path) -> str:
    """A file with the authority's certificate."""
    file = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(file))
    return str(file)


@pytest.fixture
async def port(postgres: PostgresProcess, authority: trustme.CA) -> AsyncIterator[int]:
    """The database, with TLS, as ``localhost``."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    async with with_tls(postgres.port, context) as port:
        yield port


@pytest.fixture
def schema(postgres_url: str) -> str:
    return postgres_url.rpartition("=")[2]


async def test_events_are_stored_over_tls(port: int, trusted: str, schema: str) -> None:
    engine = open_engine(
        f"postgresql://postgres@localhost:{port}/postgres?schema={schema}"
        f"&sslmode=verify-full&sslrootcert={trusted}"
    )
    await engine.start(lambda committed: None)
    try:
        appended = await engine.append(creation())
        entity = await engine.load("default", ORDER, appended.entity_id, None)
        assert len(entity.events) == 1
    finally:
        await engine.stop()


async def test_another_authority_is_refused(port: int, tmp_path: Path, schema: str) -> None:
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(str(other))
    engine = open_engine(
        f"postgresql://postgres@localhost:{port}/postgres?schema={schema}"
        f"&sslmode=verify-full&sslrootcert={other}"
    )
    with pytest.raises(ConfigurationError, match="certificate verify failed"):
        await engine.start(lambda committed: None)


async def test_another_name_is_refused(port: int, trusted: str, schema: str) -> None:
    engine = open_engine(
        f"postgresql://postgres@127.0.0.1:{port}/postgres?schema={schema}"
        f"&sslmode=verify-full&sslrootcert={trusted}"
    )
    with pytest.raises(ConfigurationError, match="certificate verify failed"):
        await engine.start(lambda committed: None)


async def test_a_database_without_tls_is_refused(postgres_url: str) -> None:
    engine = open_engine(f"{postgres_url}&sslmode=require")
    with pytest.raises(ConfigurationError, match="rejected SSL upgrade"):
        await engine.start(lambda committed: None)
