-- A result: what a job left behind. Partitioned by day, so that old ones leave by dropping a table; the
-- program makes the partitions ahead. History has no foreign keys and no default partition.
CREATE TABLE results (
    id bigint NOT NULL,
    import_id bigint NOT NULL,
    job_id bigint NOT NULL,
    run uuid NOT NULL,
    machine text NOT NULL,
    requesting_user text,
    status text NOT NULL CHECK (status IN (
        'SUCCESS', 'SUCCESS_NOCHANGE', 'SUCCESS_PARTIAL', 'FAILURE', 'INTERNAL_FAILURE', 'FAILURE_INVALID',
        'FAILURE_UNSUPPORTED_FEATURE', 'FAILURE_FORBIDDEN', 'FAILURE_REMOTE_BROKEN', 'RECLAIMED', 'KILLED')),
    date_job_started timestamptz NOT NULL,
    date_created timestamptz NOT NULL,
    log_excerpt text NOT NULL,
    log_url text,
    reason text,
    stats jsonb NOT NULL DEFAULT '{}',

    PRIMARY KEY (id, date_created),
    CONSTRAINT ends_after_its_start CHECK (date_created >= date_job_started),
    CONSTRAINT stats_are_an_object CHECK (jsonb_typeof(stats) = 'object')
) PARTITION BY RANGE (date_created);

COMMENT ON COLUMN results.date_created IS 'When the run ended.';

CREATE SEQUENCE results_id_seq OWNED BY results.id;

-- For the latest results of one import, and for a late word about a job that is gone.
CREATE INDEX results_import ON results (import_id, date_created);
CREATE INDEX results_job ON results (job_id);

-- For the results of the last minute. They come in the order of their dates, so a few pages of index do for a day.
CREATE INDEX results_date_created ON results USING brin (date_created) WITH (autosummarize = on);
