-- A machine: a host that runs workers. Its name is never changed, and it is never deleted.
CREATE TABLE machines (
    hostname text PRIMARY KEY,
    state text NOT NULL CHECK (state IN ('ONLINE', 'QUIESCING', 'OFFLINE')),
    offline_reason text CHECK (offline_reason IN ('STOPPED', 'QUIESCED', 'WATCHDOG')),
    date_state timestamptz NOT NULL,
    heartbeat timestamptz,

    CONSTRAINT hostname_is_plain CHECK (
        hostname ~ '^[a-z0-9][a-z0-9+.-]*$' AND octet_length(hostname) <= 100),
    CONSTRAINT reason_iff_offline CHECK ((offline_reason IS NOT NULL) = (state = 'OFFLINE'))
)
-- Heartbeats move every ten seconds: free space on the page keeps them off the index.
WITH (fillfactor = 50);

COMMENT ON COLUMN machines.date_state IS 'Since when it is in that state.';
COMMENT ON COLUMN machines.heartbeat IS
    'The last word from it, to ten seconds; null only inside the transaction of its first word.';
