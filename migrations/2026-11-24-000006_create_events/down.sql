DROP TABLE event_cursor;
DROP TABLE events;
DROP TABLE event_counter;
DROP TABLE event_epochs;
