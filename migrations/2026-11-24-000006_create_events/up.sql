-- The event log: every audit entry in commit order, and the relay's source.

-- An epoch begins when the database is made, and after every restore to an earlier moment.
CREATE TABLE event_epochs (
    epoch uuid PRIMARY KEY,
    first_id bigint NOT NULL,
    date_created timestamptz NOT NULL DEFAULT clock_timestamp()
);

INSERT INTO event_epochs (epoch, first_id) VALUES (gen_random_uuid(), 1);

-- The next id, in one row that every writer locks last: so ids have no gap and rise in commit order.
CREATE TABLE event_counter (
    is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    epoch uuid NOT NULL REFERENCES event_epochs,
    next_id bigint NOT NULL CHECK (next_id > 0)
)
-- One row, rewritten with every batch: the page must hold many dead versions.
WITH (fillfactor = 10);

INSERT INTO event_counter (epoch, next_id) SELECT epoch, first_id FROM event_epochs;

-- Partitioned by id, so that old ones leave by dropping a table; the program makes the partitions ahead.
CREATE TABLE events (
    id bigint PRIMARY KEY,
    epoch uuid NOT NULL,
    date_created timestamptz NOT NULL,
    event_type text NOT NULL CHECK (event_type IN (
        'CREATE', 'MODIFY', 'DELETE', 'REQUEST', 'START', 'FINISH', 'RECLAIM', 'KILL', 'ONLINE', 'OFFLINE',
        'QUIESCE', 'REPLAY', 'DROP')),
    import_id bigint,
    unique_name text,
    person text,
    machine text,
    data jsonb NOT NULL,

    CONSTRAINT import_has_its_name CHECK ((import_id IS NULL) = (unique_name IS NULL)),
    CONSTRAINT data_is_an_object CHECK (jsonb_typeof(data) = 'object')
) PARTITION BY RANGE (id);

COMMENT ON COLUMN events.unique_name IS 'The name of the import, as it was.';

-- For the events of one import, and of one machine apart from the jobs that it ran.
CREATE INDEX events_import ON events (import_id, id) WHERE import_id IS NOT NULL;
CREATE INDEX events_machine ON events (machine, id) WHERE import_id IS NULL;

-- How far the relay has published the log.
CREATE TABLE event_cursor (
    is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    last_id bigint NOT NULL CHECK (last_id >= 0)
)
WITH (fillfactor = 10);

INSERT INTO event_cursor (last_id) VALUES (0);
