-- The log, what is derived from it for reading, and what delivery must not lose.

CREATE TABLE node (
    node_number INTEGER NOT NULL          -- 48 bits, drawn once: the node half of our ids
) STRICT;

CREATE TABLE spaces (
    space_no  INTEGER PRIMARY KEY,
    name      TEXT NOT NULL UNIQUE,
    swimlanes INTEGER NOT NULL            -- fixed from here on: positions depend on it
) STRICT;

CREATE TABLE entity_types (
    entity_type_no INTEGER PRIMARY KEY,
    space_no       INTEGER NOT NULL REFERENCES spaces,
    name           TEXT NOT NULL,
    UNIQUE (space_no, name)
) STRICT;

CREATE TABLE event_types (
    event_type_no  INTEGER PRIMARY KEY,
    entity_type_no INTEGER NOT NULL REFERENCES entity_types,
    name           TEXT NOT NULL,
    UNIQUE (entity_type_no, name)
) STRICT;

CREATE TABLE events (
    position         INTEGER PRIMARY KEY, -- dense: the log of all spaces, in commit order
    event_id         TEXT NOT NULL,
    entity_type_no   INTEGER NOT NULL,
    entity_id        TEXT NOT NULL,
    event_type_no    INTEGER NOT NULL,
    swimlane         INTEGER NOT NULL,
    size             INTEGER NOT NULL,    -- characters of event_data and metadata
    event_data       TEXT NOT NULL,
    metadata         TEXT,
    triggering_event_token TEXT
) STRICT;

-- An entity's events in order; its last entry is the entity's version.
CREATE UNIQUE INDEX events_by_entity ON events (entity_id, entity_type_no, event_id);

-- The log of one event type, with what a reader needs to choose rows without visiting them.
CREATE INDEX events_by_type ON events (event_type_no, position, swimlane, size);

-- Whether a trigger was applied to an entity; by prefix, what an event triggered.
CREATE INDEX events_by_trigger ON events (triggering_event_token, entity_id, entity_type_no)
    WHERE triggering_event_token IS NOT NULL;

CREATE TABLE snapshots (
    entity_type_no INTEGER NOT NULL,
    entity_id      TEXT NOT NULL,
    entity_version TEXT NOT NULL,
    snapshot_type  TEXT NOT NULL,
    json           TEXT NOT NULL,
    PRIMARY KEY (entity_type_no, entity_id)
) STRICT;

CREATE TABLE subscriptions (
    subscription_no INTEGER PRIMARY KEY,
    space           TEXT NOT NULL,
    subscriber_id   TEXT NOT NULL,
    selection       TEXT NOT NULL,        -- JSON: entity type to event types
    policy          TEXT NOT NULL,        -- JSON
    paused          INTEGER NOT NULL,
    created_at      INTEGER NOT NULL,     -- milliseconds since the epoch
    UNIQUE (space, subscriber_id)
) STRICT;

CREATE TABLE swimlane_positions (
    subscription_no INTEGER NOT NULL REFERENCES subscriptions,
    swimlane        INTEGER NOT NULL,
    position        INTEGER NOT NULL,
    PRIMARY KEY (subscription_no, swimlane)
) STRICT, WITHOUT ROWID;

CREATE TABLE dead_letters (
    subscription_no INTEGER NOT NULL REFERENCES subscriptions,
    position        INTEGER NOT NULL,
    swimlane        INTEGER NOT NULL,
    event_id        TEXT NOT NULL,
    entity_type     TEXT NOT NULL,
    entity_id       TEXT NOT NULL,
    event_type      TEXT NOT NULL,
    attempts        INTEGER NOT NULL,
    reason          TEXT NOT NULL,
    parked_at       INTEGER NOT NULL,     -- milliseconds since the epoch
    PRIMARY KEY (subscription_no, position)
) STRICT, WITHOUT ROWID;

CREATE TABLE api_keys (
    key_id      TEXT PRIMARY KEY,
    secret_hash TEXT NOT NULL,
    spaces      TEXT NOT NULL,            -- JSON array
    read_only   INTEGER NOT NULL,
    created_at  INTEGER NOT NULL          -- milliseconds since the epoch
) STRICT;
