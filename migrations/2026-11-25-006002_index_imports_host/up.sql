-- For lists and acts by host: "a host is down, stop asking it". By id too, so that a page of a large host is read
-- and no more. A finish does not touch it.
CREATE INDEX CONCURRENTLY imports_host ON imports ((source_host(coalesce(url, cvs_root))), id);
