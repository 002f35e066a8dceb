-- name: publish
-- Say that a process lives and which names it knows; gives the server's time.
-- dialect: the newest that it knows; was_able: it could write all the time since the last time.
INSERT INTO pulse_workers (id, task_queue, actions, conditions, signals, dialect)
VALUES (:worker_id, :task_queue, :actions, :conditions, :signals, :dialect)
ON CONFLICT (id) DO UPDATE
SET actions = excluded.actions, conditions = excluded.conditions, signals = excluded.signals,
    dialect = excluded.dialect,
    present_since = CASE WHEN :was_able THEN pulse_workers.present_since ELSE now() END,
    seen_at = now()
RETURNING now() AS at;

-- name: withdraw
DELETE FROM pulse_workers WHERE id = :worker_id;

-- name: forget
-- Drop processes that have been silent for long.
DELETE FROM pulse_workers WHERE seen_at < now() - :silence::interval;

-- name: published_names
-- Handlers and signal types of the processes that were seen lately.
-- silence: after which a process counts as gone.
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
WHERE w.task_queue = :task_queue AND w.seen_at > now() - :silence::interval;

-- name: identity
-- The id that migrate has given this database, and the name by which Postgres knows it.
SELECT id, current_database() AS name FROM pulse_database;
