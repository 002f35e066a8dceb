-- name: find_place
-- The schema that holds this engine's tables; before the first migration, the one that will.
-- And what a connection is like before anybody has changed it.
-- table_name: of the triggers.
SELECT
    coalesce(
        (
            SELECT n.nspname FROM pg_class AS c
            JOIN pg_namespace AS n ON n.oid = c.relnamespace
            WHERE c.oid = to_regclass(:table_name)
        ),
        current_schema()
    ) AS schema,
    current_setting('server_encoding') AS encoding,
    session_user::text AS user, current_setting('role') AS role,
    current_setting('default_transaction_isolation') = 'read committed' AS is_read_committed;

-- name: lift_bounds
-- Lift, for this transaction, the bounds that the role may have for its everyday statements.
SELECT
    set_config('statement_timeout', '0', true), set_config('lock_timeout', '0', true),
    set_config('idle_in_transaction_session_timeout', '0', true);

-- name: lock
-- One migrating process at a time; released at the end of the transaction.
-- tables: any text that names this set of them.
SELECT pg_advisory_xact_lock(hashtextextended(:tables, 0));

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
INSERT INTO pulse_migrations (version, name, checksum) VALUES (:version, :name, :checksum);

-- name: find_function
-- What the comment on a function says, and whether this role may replace it; no row: there is no
-- such function.
SELECT
    obj_description(p.oid, 'pg_proc') AS comment,
    pg_has_role(p.proowner, 'USAGE') AND has_schema_privilege(n.oid, 'CREATE') AS is_replaceable
FROM pg_proc AS p
JOIN pg_namespace AS n ON n.oid = p.pronamespace
WHERE n.nspname = :schema AND p.proname = :name;
