-- name: publish
-- Say that a process lives and which names it knows; gives the server's time.
-- $1 id, $2 task_queue, $3 actions, $4 conditions, $5 signals, $6 newest dialect that it knows,
-- $7 it could write all the time since the last time
INSERT INTO pulse_workers (id, task_queue, actions, conditions, signals, dialect)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (id) DO UPDATE
SET actions = excluded.actions, conditions = excluded.conditions, signals = excluded.signals,
    dialect = excluded.dialect,
    present_since = CASE WHEN $7 THEN pulse_workers.present_since ELSE now() END,
    seen_at = now()
RETURNING now() AS at;

-- name: withdraw
-- $1 id
DELETE FROM pulse_workers WHERE id = $1;

-- name: forget
-- Drop processes that have been silent for long.
-- $1 silence
DELETE FROM pulse_workers WHERE seen_at < now() - $1::interval;

-- name: published_names
-- Handlers and signal types of the processes that were seen lately.
-- $1 task_queue, $2 silence after which a process counts as gone
SELECT
    coalesce(array_agg(DISTINCT a.name) FILTER (WHERE a.kind = 'action'), '{}') AS actions,
    coalesce(array_agg(DISTINCT a.name) FILTER (WHERE a.kind = 'condition'), '{}') AS conditions,
    coalesce(array_agg(DISTINCT a.name) FILTER (WHERE a.kind = 'signal'), '{}') AS signals,
    count(DISTINCT w.id) AS workers
FROM pulse_workers AS w
CROSS JOIN LATERAL (
    SELECT 'action' AS kind, unnest(w.actions) AS name
    UNION ALL
    SELECT 'condition', unnest(w.conditions)
    UNION ALL
    SELECT 'signal', unnest(w.signals)
    UNION ALL
    SELECT 'none', NULL
) AS a
WHERE w.task_queue = $1 AND w.seen_at > now() - $2::interval;

-- name: identity
-- The id that migrate has given this database, and the name by which Postgres knows it.
SELECT id, current_database() AS name FROM pulse_database;
