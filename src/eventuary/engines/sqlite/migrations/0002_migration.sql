-- The migration that has made this database, if one has: a row at most.

CREATE TABLE migration (
    source      TEXT NOT NULL,            -- as people may see it
    verified    INTEGER NOT NULL,         -- up to this position it was compared with the source
    digest      TEXT NOT NULL,            -- of the log up to there
    highest_id  TEXT NOT NULL,            -- of the events that were copied: later ids are above it
    finished_at INTEGER                   -- milliseconds since the epoch; NULL: not to be served
) STRICT;
