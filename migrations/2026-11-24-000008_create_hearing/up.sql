-- What we know of our own listening: an echo that we send ourselves comes back over the heartbeat queue.
CREATE TABLE hearing (
    is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    heard timestamptz NOT NULL,
    since timestamptz NOT NULL,

    CONSTRAINT since_is_before_heard CHECK (since <= heard)
)
WITH (fillfactor = 10);

COMMENT ON COLUMN hearing.heard IS 'The newest echo that came back, by our clock when it was sent.';
COMMENT ON COLUMN hearing.since IS 'Since when we have listened without a gap.';

-- The sessions of our roles. Each commits its row before it consumes: a database that takes no writes must
-- not use up deliveries.
CREATE TABLE sessions (
    role text PRIMARY KEY,
    date_begun timestamptz NOT NULL
)
WITH (fillfactor = 50);
