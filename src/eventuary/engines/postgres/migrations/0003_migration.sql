-- The migration that has made this schema, if one has: a row at most. No server opens the log while
-- it is not finished.

CREATE TABLE migration (
    source      text NOT NULL,            -- as people may see it
    verified    bigint NOT NULL,          -- up to this position it was compared with the source
    digest      text NOT NULL,            -- of the log up to there
    finished_at bigint                    -- milliseconds since the epoch; NULL: not to be served
);
