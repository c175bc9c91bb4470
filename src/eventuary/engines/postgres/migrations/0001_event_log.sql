-- The log, what is derived from it for reading, and what delivery must not lose.
--
-- Ids and names are compared byte by byte (COLLATE "C"): ids sort as the numbers that they are.
-- Data is bytea, UTF-8: text of PostgreSQL can't hold the character NUL, and clients may send it.
-- To read it: SELECT convert_from(event_data, 'UTF8') FROM events.

CREATE SEQUENCE server_numbers AS bigint MAXVALUE 281474976710655 NO CYCLE;

-- The servers that may append. A number is never given twice: it is the node half of a server's
-- ids. A row is a lease by this database's clock; who finds its row gone takes another number.
CREATE TABLE servers (
    server_no  bigint PRIMARY KEY,
    expires    timestamptz NOT NULL,
    name       text NOT NULL              -- host and process, for people
);

CREATE TABLE spaces (
    space_no  integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name      text COLLATE "C" NOT NULL UNIQUE,
    swimlanes integer NOT NULL            -- fixed from here on: positions depend on it
);

CREATE TABLE entity_types (
    entity_type_no integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    space_no       integer NOT NULL REFERENCES spaces,
    name           text COLLATE "C" NOT NULL,
    UNIQUE (space_no, name)
);

CREATE TABLE event_types (
    event_type_no  integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    entity_type_no integer NOT NULL REFERENCES entity_types,
    name           text COLLATE "C" NOT NULL,
    first_position bigint,                -- of its first event; NULL: it has none yet
    UNIQUE (entity_type_no, name)
);

-- Rows are inserted by append_group alone, and never changed.
CREATE TABLE events (
    position         bigint PRIMARY KEY,  -- dense: the log of all spaces, in commit order
    entity_type_no   integer NOT NULL,
    event_type_no    integer NOT NULL,
    size             integer NOT NULL,    -- bytes of event_data and metadata
    swimlane         smallint NOT NULL,
    event_id         text COLLATE "C" NOT NULL,
    entity_id        text COLLATE "C" NOT NULL,
    triggering_event_token text COLLATE "C",
    event_data       bytea NOT NULL,
    metadata         bytea
);

-- An entity's events in order; its last entry is the entity's version.
CREATE UNIQUE INDEX events_by_entity ON events (entity_id, entity_type_no, event_id);

-- The log of one event type, with what a reader needs to choose rows without visiting them.
CREATE INDEX events_by_type ON events (event_type_no, position) INCLUDE (swimlane, size);

-- Whether a trigger was applied to an entity; by prefix, what an event triggered.
CREATE INDEX events_by_trigger ON events (triggering_event_token, entity_id, entity_type_no)
    WHERE triggering_event_token IS NOT NULL;

CREATE TABLE snapshots (
    entity_type_no integer NOT NULL,
    entity_id      text COLLATE "C" NOT NULL,
    entity_version text COLLATE "C" NOT NULL,
    snapshot_type  bytea NOT NULL,
    json           bytea NOT NULL,
    PRIMARY KEY (entity_id, entity_type_no)
);

CREATE TABLE subscriptions (
    subscription_no bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    space           text COLLATE "C" NOT NULL,
    subscriber_id   text COLLATE "C" NOT NULL,
    selection       text NOT NULL,        -- JSON: entity type to event types
    policy          text NOT NULL,        -- JSON
    paused          boolean NOT NULL,
    created_at      bigint NOT NULL,      -- milliseconds since the epoch
    UNIQUE (space, subscriber_id)
);

-- Room in each page lets a position move without touching an index.
CREATE TABLE swimlane_positions (
    subscription_no bigint NOT NULL REFERENCES subscriptions ON DELETE CASCADE,
    swimlane        integer NOT NULL,
    position        bigint NOT NULL,
    PRIMARY KEY (subscription_no, swimlane)
) WITH (fillfactor = 40);

CREATE TABLE dead_letters (
    subscription_no bigint NOT NULL REFERENCES subscriptions ON DELETE CASCADE,
    position        bigint NOT NULL,
    swimlane        integer NOT NULL,
    event_id        text NOT NULL,
    entity_type     text NOT NULL,
    entity_id       text NOT NULL,
    event_type      text NOT NULL,
    attempts        integer NOT NULL,
    reason          bytea NOT NULL,       -- UTF-8; clients write it, NUL included
    parked_at       bigint NOT NULL,      -- milliseconds since the epoch
    PRIMARY KEY (subscription_no, position)
);

CREATE TABLE api_keys (
    key_id      text COLLATE "C" PRIMARY KEY,
    secret_hash text NOT NULL,
    spaces      text NOT NULL,            -- JSON array
    read_only   boolean NOT NULL,
    created_at  bigint NOT NULL           -- milliseconds since the epoch
);

-- The turn to append, held until the end of the transaction: positions are given, and become
-- visible, in one order. The key is this schema's own.
CREATE FUNCTION take_turn() RETURNS void LANGUAGE sql AS $$
    SELECT pg_advisory_xact_lock((1165390969::bigint << 32) | 'events'::regclass::oid::bigint)
$$;

-- Give a server a number, in place of the one it had: what it may have sent under that one can't be
-- done any more once this is. So it can be told for sure which first events of its appends are in
-- the log: their positions, NULL where there is none. Also forgets servers whose leases ended.
CREATE FUNCTION join_servers(
    old_server    bigint,
    server_name   text,
    lease         interval,
    first_type    integer[],
    first_entity  text[],
    first_id      text[],
    OUT new_server bigint,
    OUT last_id   text,
    OUT positions bigint[]
) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM take_turn();
    DELETE FROM servers s WHERE s.server_no = old_server OR s.expires < now();
    INSERT INTO servers (server_no, expires, name)
    VALUES (nextval('server_numbers'), now() + lease, server_name)
    RETURNING server_no INTO new_server;
    SELECT e.event_id INTO last_id FROM events e ORDER BY e.position DESC LIMIT 1;
    SELECT array_agg(e.position ORDER BY f.no) INTO positions
    FROM unnest(first_type, first_entity, first_id) WITH ORDINALITY AS f (type, entity, id, no)
    LEFT JOIN events e
        ON e.entity_id = f.entity AND e.entity_type_no = f.type AND e.event_id = f.id;
END
$$;

-- Append a group: one statement, one transaction, one round trip.
--
-- checked_*: one element for each append that must be checked, in order, with its number in the
-- group; those that create an entity under a new id need no check. `expected` is the version that
-- it must have, NULL: none. Of several appends to one entity the first that passes is done, and
-- changes the version that the others expect.
-- call_*: which appends are in which atomic call: they are done all, or none.
-- event_*: one element for each event, in order. snapshot_*: one for each snapshot.
-- new_types: event types that may occur for the first time.
--
-- Returns the position before the group; when some are refused also their numbers, and what the
-- checks found, in the order of checked_*.
CREATE FUNCTION append_group(
    my_server         bigint,
    checked_append    integer[],
    checked_type      integer[],
    checked_entity    text[],
    checked_expected  text[],
    checked_token     text[],
    call_append       integer[],
    call_no           integer[],
    event_append      integer[],
    event_entity_type integer[],
    event_entity      text[],
    event_type        integer[],
    event_swimlane    smallint[],
    event_ids         text[],
    event_token       text[],
    event_datas       bytea[],
    event_metadata    bytea[],
    snapshot_append   integer[],
    snapshot_entity_type integer[],
    snapshot_entity   text[],
    snapshot_version  text[],
    snapshot_types    bytea[],
    snapshot_jsons    bytea[],
    new_types         integer[],
    OUT before        bigint,
    OUT refused       integer[],
    OUT versions      text[],
    OUT applied       boolean[]
) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM take_turn();
    -- From here on each statement sees all that was appended before.
    IF NOT EXISTS (SELECT FROM servers WHERE server_no = my_server) THEN
        RAISE EXCEPTION 'server % is not registered any more', my_server USING ERRCODE = 'EV001';
    END IF;
    SELECT coalesce(max(e.position), 0) INTO before FROM events e;

    IF cardinality(checked_append) > 0 THEN
        WITH found AS MATERIALIZED (
            SELECT
                c.append, c.entity_type, c.entity, c.expected,
                (
                    SELECT e.event_id FROM events e
                    WHERE e.entity_id = c.entity AND e.entity_type_no = c.entity_type
                    ORDER BY e.entity_id DESC, e.entity_type_no DESC, e.event_id DESC LIMIT 1
                ) AS version,
                c.token IS NOT NULL AND EXISTS (
                    SELECT FROM events e
                    WHERE e.triggering_event_token = c.token
                    AND e.entity_id = c.entity AND e.entity_type_no = c.entity_type
                ) AS applied
            FROM unnest(
                checked_append, checked_type, checked_entity, checked_expected, checked_token
            ) AS c (append, entity_type, entity, expected, token)
        ),
        judged AS (
            SELECT f.*, min(f.append) FILTER (
                WHERE f.version IS NOT DISTINCT FROM f.expected AND NOT f.applied
            ) OVER (PARTITION BY f.entity, f.entity_type) AS winner
            FROM found f
        )
        SELECT
            array_agg(j.append) FILTER (WHERE j.winner IS DISTINCT FROM j.append),
            array_agg(j.version ORDER BY j.append),
            array_agg(j.applied ORDER BY j.append)
        INTO refused, versions, applied
        FROM judged j;

        IF refused IS NOT NULL AND cardinality(call_append) > 0 THEN
            SELECT array_agg(DISTINCT r.append) INTO refused FROM (
                SELECT unnest(refused) AS append
                UNION ALL
                SELECT c.append FROM unnest(call_append, call_no) AS c (append, no)
                WHERE c.no IN (
                    SELECT l.no FROM unnest(call_append, call_no) AS l (append, no)
                    WHERE l.append = ANY (refused)
                )
            ) AS r;
        END IF;
    END IF;

    INSERT INTO events (
        position, entity_type_no, event_type_no, size, swimlane, event_id, entity_id,
        triggering_event_token, event_data, metadata
    )
    SELECT
        before + row_number() OVER (), n.entity_type, n.type,
        octet_length(n.data) + coalesce(octet_length(n.metadata), 0),
        n.swimlane, n.id, n.entity, n.token, n.data, n.metadata
    FROM unnest(
        event_append, event_entity_type, event_type, event_swimlane, event_ids, event_entity,
        event_token, event_datas, event_metadata
    ) AS n (append, entity_type, type, swimlane, id, entity, token, data, metadata)
    WHERE refused IS NULL OR n.append <> ALL (refused);

    IF cardinality(snapshot_append) > 0 THEN
        INSERT INTO snapshots (entity_type_no, entity_id, entity_version, snapshot_type, json)
        SELECT s.entity_type, s.entity, s.version, s.type, s.json
        FROM unnest(
            snapshot_append, snapshot_entity_type, snapshot_entity, snapshot_version,
            snapshot_types, snapshot_jsons
        ) AS s (append, entity_type, entity, version, type, json)
        WHERE refused IS NULL OR s.append <> ALL (refused)
        ON CONFLICT (entity_id, entity_type_no) DO UPDATE SET
            entity_version = excluded.entity_version,
            snapshot_type = excluded.snapshot_type,
            json = excluded.json;
    END IF;

    IF cardinality(new_types) > 0 THEN
        UPDATE event_types t SET first_position = f.position
        FROM (
            SELECT e.event_type_no, min(e.position) AS position FROM events e
            WHERE e.position > before AND e.event_type_no = ANY (new_types)
            GROUP BY e.event_type_no
        ) AS f
        WHERE t.event_type_no = f.event_type_no AND t.first_position IS NULL;
    END IF;

    IF refused IS NULL THEN
        versions := NULL;
        applied := NULL;
    END IF;
END
$$;
