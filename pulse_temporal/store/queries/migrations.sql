-- name: find_schema
-- The schema that holds this engine's tables; before the first migration, the one that will.
-- $1 name of the trigger table
SELECT coalesce(
    (
        SELECT n.nspname FROM pg_class AS c
        JOIN pg_namespace AS n ON n.oid = c.relnamespace
        WHERE c.oid = to_regclass($1)
    ),
    current_schema()
) AS schema;

-- name: lock
-- One migrating process at a time; released at the end of the transaction.
-- $1 any text that names this set of tables
SELECT pg_advisory_xact_lock(hashtextextended($1, 0));

-- name: create_ledger
CREATE TABLE IF NOT EXISTS pulse_migrations (
    version integer PRIMARY KEY,
    name text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);

-- name: applied
SELECT version, name, checksum FROM pulse_migrations ORDER BY version;

-- name: record
-- $1 version, $2 name, $3 checksum
INSERT INTO pulse_migrations (version, name, checksum) VALUES ($1, $2, $3);
