-- Swimlanes of a durable subscription are leased: each is delivered by one server at a time.

-- The servers that deliver. A number is never given twice. A server renews its row; one whose row
-- has ended may be buried by any other, which deletes the row. Whose row is gone holds nothing, and
-- whose row is there holds what is its own: no clock but this database's decides.
CREATE TABLE deliverers (
    deliverer_no bigint PRIMARY KEY,
    expires      timestamptz NOT NULL,
    name         text NOT NULL            -- host and process, for people
);

-- How many consumers a server has: its share of a subscription's swimlanes.
CREATE TABLE consumers (
    subscription_no bigint NOT NULL REFERENCES subscriptions ON DELETE CASCADE,
    deliverer_no    bigint NOT NULL REFERENCES deliverers ON DELETE CASCADE,
    consumers       integer NOT NULL,
    PRIMARY KEY (subscription_no, deliverer_no)
);

CREATE INDEX consumers_by_deliverer ON consumers (deliverer_no);

-- Who holds a swimlane, and for the how manieth time it has changed hands: positions are stored
-- only under the present epoch. No reference: a holder that was buried holds nothing.
ALTER TABLE swimlane_positions
    ADD COLUMN holder bigint,
    ADD COLUMN epoch  bigint NOT NULL DEFAULT 0;

-- Grows with every change of selection, policy or pause.
ALTER TABLE subscriptions ADD COLUMN revision bigint NOT NULL DEFAULT 1;

-- What an operator has asked another server to do with a dead letter: replay or discard.
ALTER TABLE dead_letters ADD COLUMN wish text;
