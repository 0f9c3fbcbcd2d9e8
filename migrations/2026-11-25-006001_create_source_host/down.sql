DROP FUNCTION source_host;
