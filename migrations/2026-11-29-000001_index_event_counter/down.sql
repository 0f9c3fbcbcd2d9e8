DROP INDEX event_counter_next;
