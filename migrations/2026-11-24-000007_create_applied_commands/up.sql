-- The commands of people that were applied, by message id, and what was answered: so that the same command,
-- coming again, gets the same answer and changes nothing. Kept 7 days.
CREATE TABLE applied_commands (
    message_id text PRIMARY KEY CHECK (octet_length(message_id) <= 255),
    date_created timestamptz NOT NULL DEFAULT clock_timestamp(),
    answer jsonb
);

COMMENT ON COLUMN applied_commands.answer IS 'Null only inside the transaction that applies it.';

-- For housekeeping.
CREATE INDEX applied_commands_date ON applied_commands (date_created);
