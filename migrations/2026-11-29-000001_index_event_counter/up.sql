-- While somebody holds a transaction open, every version of the counter's row stays: hundreds of thousands in ten minutes
-- at full speed, and each batch looked through all of them, while all others waited for it. The newest has the highest
-- id, so this index finds it at its end, whatever lies before it.
SET LOCAL lock_timeout = '5s';
CREATE INDEX event_counter_next ON event_counter (next_id);
