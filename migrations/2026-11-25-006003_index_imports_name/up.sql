-- For names by their beginning: completion in a shell, `--name-prefix`, "did you mean". The unique index sorts as the
-- database's language does, in which a beginning is no range.
CREATE INDEX CONCURRENTLY imports_name ON imports (unique_name text_pattern_ops);
