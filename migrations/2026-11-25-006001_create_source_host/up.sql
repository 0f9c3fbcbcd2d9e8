-- The host of a source, as `Source::host` in `src/domain/source.rs` says it; an IPv6 address keeps its brackets.
-- What is stored is in normal form, so there is one way to write a host.
CREATE FUNCTION source_host(source text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN substring(
        source FROM '^(?:[a-z][a-z0-9+.-]*://|:[a-z]+:)(?:[^/@]*@)?(\[[^]]*\]|[^/:]*)');

COMMENT ON FUNCTION source_host IS 'The host of a URL or a CVS root.';
