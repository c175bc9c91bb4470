"""The schema as SQL: what `eventuary schema postgresql` prints, and what a start applies if it may.

Migrations are numbered files; the table ``schema_version`` says which are applied. The script can
be run again, and by several at once: it does what is missing. Needs no client of PostgreSQL.
"""

from importlib.resources import files

from eventuary.engines.postgres.address import quoted

_MIGRATION = """
DO $apply$ BEGIN
IF NOT EXISTS (SELECT FROM schema_version WHERE version >= {number}) THEN
EXECUTE $migration${sql}$migration$;
INSERT INTO schema_version VALUES ({number});
END IF;
END $apply$;
"""

_SCRIPT = """\
-- The schema of Eventuary. It may be run again: what is there stays.
BEGIN;
SET LOCAL client_min_messages = warning;
-- Of several who run this at once, one does, and the others wait for it.
SELECT pg_advisory_xact_lock(1165390969, hashtext({literal}));
CREATE SCHEMA IF NOT EXISTS {schema};
SET LOCAL search_path TO {schema};
CREATE TABLE IF NOT EXISTS schema_version (version integer PRIMARY KEY);
{migrations}
COMMIT;
"""

_GRANTS = """
-- The role that serves needs no more than this (here it is called eventuary_server):
--
-- GRANT USAGE ON SCHEMA {schema} TO eventuary_server;
-- GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO eventuary_server;
-- GRANT INSERT ON {insert} TO eventuary_server;
-- GRANT UPDATE ON {update} TO eventuary_server;
-- GRANT DELETE ON {delete} TO eventuary_server;
-- GRANT USAGE ON ALL SEQUENCES IN SCHEMA {schema} TO eventuary_server;
"""

#: What the serving role may do to which tables. Events can be inserted, and nothing else.
_INSERTED = (
    "events",
    "spaces",
    "entity_types",
    "event_types",
    "snapshots",
    "subscriptions",
    "swimlane_positions",
    "dead_letters",
    "api_keys",
    "servers",
    "deliverers",
    "consumers",
)
_UPDATED = (
    "event_types",
    "snapshots",
    "subscriptions",
    "swimlane_positions",
    "dead_letters",
    "servers",
    "deliverers",
    "consumers",
)
_DELETED = (
    "subscriptions",
    "swimlane_positions",
    "dead_letters",
    "api_keys",
    "servers",
    "deliverers",
    "consumers",
)


def schema_script(schema: str) -> str:
    """Return the SQL that makes the schema, or brings it up to date."""
    return _SCRIPT.format(
        literal="'" + schema.replace("'", "''") + "'",
        schema=quoted(schema),
        migrations="".join(
            _MIGRATION.format(number=number, sql=sql)
            for number, sql in enumerate(migrations(), start=1)
        ),
    )


def grants(schema: str) -> str:
    """Return, as a comment of SQL, what the serving role needs."""

    def tables(names: tuple[str, ...]) -> str:
        return ", ".join(f"{quoted(schema)}.{name}" for name in names)

    return _GRANTS.format(
        schema=quoted(schema),
        insert=tables(_INSERTED),
        update=tables(_UPDATED),
        delete=tables(_DELETED),
    )


def migrations() -> list[str]:
    """Return the migrations in order; the first brings the schema to version 1."""
    entries = sorted(
        (
            entry
            for entry in files(__package__).joinpath("migrations").iterdir()
            if entry.name.endswith(".sql")
        ),
        key=lambda entry: entry.name,
    )
    return [entry.read_text("utf-8") for entry in entries]
