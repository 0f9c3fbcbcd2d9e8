SET LOCAL lock_timeout = '5s';

DROP TRIGGER event_cursor_has_one_row ON event_cursor;
DROP TRIGGER event_counter_has_one_row ON event_counter;
DROP FUNCTION refuse_second_row();

ALTER TABLE event_cursor SET (fillfactor = 10);
ALTER TABLE event_cursor DROP CONSTRAINT event_cursor_pkey, ADD PRIMARY KEY (is_only);
ALTER TABLE event_counter SET (fillfactor = 10);
ALTER TABLE event_counter DROP CONSTRAINT event_counter_pkey, ADD PRIMARY KEY (is_only);
