-- The event counter and the event cursor, found at the end of an index however many dead versions lie before it.
--
-- Each is one row that every batch rewrites. While somebody holds a transaction open its versions stay: 36,000 after ten
-- minutes. An update in place finds the newest by walking through all of them; with the value itself as the key the
-- newest is the last entry. The entry of each update costs less than the page that had to be kept free.
--
-- Code of before goes on: it updates the one row that it sees, whatever the key.
SET LOCAL lock_timeout = '5s';

ALTER TABLE event_counter DROP CONSTRAINT event_counter_pkey, ADD PRIMARY KEY (next_id);
ALTER TABLE event_counter RESET (fillfactor);
ALTER TABLE event_cursor DROP CONSTRAINT event_cursor_pkey, ADD PRIMARY KEY (last_id);
ALTER TABLE event_cursor RESET (fillfactor);

-- What the key on `is_only` did.
CREATE FUNCTION refuse_second_row() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    is_there boolean;
BEGIN
    EXECUTE format('SELECT EXISTS (SELECT FROM %s)', TG_RELID::regclass) INTO is_there;
    IF is_there THEN
        RAISE unique_violation USING
            MESSAGE = format('%I has its one row', TG_TABLE_NAME),
            HINT = 'Update it instead.',
            TABLE = TG_TABLE_NAME,
            CONSTRAINT = TG_NAME;
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER event_counter_has_one_row BEFORE INSERT ON event_counter
FOR EACH ROW EXECUTE FUNCTION refuse_second_row();
CREATE TRIGGER event_cursor_has_one_row BEFORE INSERT ON event_cursor
FOR EACH ROW EXECUTE FUNCTION refuse_second_row();

-- Also where a tool that copies data switches triggers off.
ALTER TABLE event_counter ENABLE ALWAYS TRIGGER event_counter_has_one_row;
ALTER TABLE event_cursor ENABLE ALWAYS TRIGGER event_cursor_has_one_row;
