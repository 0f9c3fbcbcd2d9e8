-- How each table is vacuumed, and why. Every ALTER here takes only the lock that a vacuum takes, and code of
-- before does not notice.
--
-- In common: PostgreSQL's own rule, a fifth of the table, means no vacuum for hours on a table of 3·10⁸ rows, and
-- then one that takes hours; a share of a hundredth keeps each short. And none of them cuts off the empty end of
-- its file (vacuum_truncate), which takes a lock that excludes even readers: the space is used again at once.
SET LOCAL lock_timeout = '5s';

-- Each cycle of a job inserts a row, updates it twice with a change of index, and deletes it: up to three dead rows,
-- which lie at the beginning of the dispatcher's indexes until they are vacuumed away. Vacuuming must keep up with
-- that at any speed, so it does not pause for the cost of pages that are in memory anyway.
ALTER TABLE jobs SET (
    autovacuum_vacuum_scale_factor = 0.01,
    autovacuum_analyze_scale_factor = 0.02,
    autovacuum_vacuum_cost_delay = 0,
    vacuum_truncate = false
);

-- A finish updates its import in place, and what it leaves is cleaned up by whoever reads the page next. What is left
-- for a vacuum is what was loaded (frozen early, in small parts), and updates that found no room on their page.
ALTER TABLE imports SET (
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_insert_scale_factor = 0.02,
    autovacuum_analyze_scale_factor = 0.02,
    vacuum_truncate = false
);

-- One row each, or one a machine, updated all the time in place. Vacuum comes after every thousand updates, whatever
-- share that is; it matters only after somebody's long transaction, when thousands of dead versions are left.
ALTER TABLE event_counter SET (
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, vacuum_truncate = false);
ALTER TABLE event_cursor SET (
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, vacuum_truncate = false);
ALTER TABLE hearing SET (
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, vacuum_truncate = false);
ALTER TABLE sessions SET (
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, vacuum_truncate = false);
ALTER TABLE machines SET (
    autovacuum_vacuum_scale_factor = 0.1, autovacuum_vacuum_threshold = 1000, vacuum_truncate = false);

-- A command's row is inserted when it is locked and gets its answer in the same transaction: with free space, on
-- the same page and without touching an index. Old ones are deleted in the order in which they came.
ALTER TABLE applied_commands SET (
    fillfactor = 70,
    autovacuum_vacuum_scale_factor = 0.02,
    vacuum_truncate = false
);

-- Partitions of events and results get their settings from the program that makes them: `store/partitions.rs`.
