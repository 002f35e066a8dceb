-- name: server
-- What answers, and whether it takes writes.
SELECT
    current_database() AS database, current_setting('server_version') AS version,
    current_setting('server_version_num')::int AS version_number,
    current_setting('transaction_read_only')::bool AS is_read_only;

-- name: workers
-- Processes of a queue, and the queues of the others.
-- silence: after which a process counts as gone.
SELECT
    count(*) FILTER (WHERE task_queue = :task_queue AND seen_at > now() - :silence::interval)
        AS alive,
    now() - max(seen_at) FILTER (WHERE task_queue = :task_queue) AS silent_for,
    now() - min(started_at) FILTER (
        WHERE task_queue = :task_queue AND seen_at > now() - :silence::interval
    ) AS alive_for,
    count(*) FILTER (WHERE task_queue = :task_queue AND seen_at <= now() - :silence::interval)
        AS silent,
    now() - max(seen_at) FILTER (
        WHERE task_queue = :task_queue AND seen_at <= now() - :silence::interval
    ) AS others_silent_for,
    coalesce(
        array_agg(DISTINCT task_queue) FILTER (
            WHERE task_queue <> :task_queue AND seen_at > now() - :silence::interval
        ),
        '{}'
    ) AS other_queues
FROM pulse_workers;

-- name: outbox
-- Commands of a queue that wait, as far as the oldest ones tell.
-- row_limit: rows to look at; dialect: the newest that this process knows.
SELECT
    count(*) AS commands, count(*) FILTER (WHERE dialect > :dialect) AS newer, now() - min(created_at) AS age, coalesce(max(tries), 0) AS tries,
    (array_agg(last_error ORDER BY tries DESC, id) FILTER (WHERE last_error IS NOT NULL))[1]
        AS error
FROM (
    SELECT id, created_at, tries, last_error, dialect FROM pulse_outbox
    WHERE task_queue = :task_queue
    ORDER BY id
    LIMIT :row_limit
) AS oldest;

-- name: pending_runs
-- Runs of a queue that have not begun for a while, oldest first.
-- row_limit: rows to look at.
SELECT
    count(*) AS runs, now() - min(created_at) AS age,
    (array_agg(id ORDER BY created_at, id))[1] AS oldest_id
FROM (
    SELECT r.id, r.created_at FROM pulse_workflow_runs AS r
    JOIN pulse_run_control AS c ON c.run_id = r.id AND c.task_queue = :task_queue
    WHERE r.status = 'pending' AND r.engine = 'temporal'
        AND r.created_at <= now() - :age::interval
    ORDER BY r.created_at, r.id
    LIMIT :row_limit
) AS oldest;

-- name: blocked_steps
-- Why steps of a queue's open runs cannot start, the commonest reason first.
-- row_limit: rows to look at.
SELECT
    blocked_reason AS reason, count(*) AS steps, max(now() - blocked_since) AS age,
    min(run_id) AS run_id
FROM (
    SELECT s.run_id, s.blocked_reason, s.blocked_since FROM pulse_workflow_step_runs AS s
    JOIN pulse_workflow_runs AS r ON r.id = s.run_id
    JOIN pulse_run_control AS c ON c.run_id = s.run_id AND c.task_queue = :task_queue
    WHERE s.blocked_reason IS NOT NULL
        AND r.status IN ('pending', 'running', 'waiting')
    LIMIT :row_limit
) AS found
GROUP BY blocked_reason
ORDER BY steps DESC, reason;

-- name: idle_queues
-- Queues of this database on which something waits and nobody works, as far as the oldest rows
-- tell.
-- task_queue: to leave out; silence: after which a process counts as gone; commands, runs: how many
-- to look at.
SELECT
    found.task_queue, sum(found.commands)::bigint AS commands, sum(found.runs)::bigint AS runs,
    now() - min(found.since) AS age
FROM (
    SELECT o.task_queue, 1 AS commands, 0 AS runs, o.created_at AS since
    FROM (SELECT task_queue, created_at FROM pulse_outbox ORDER BY id LIMIT :commands) AS o
    UNION ALL
    SELECT c.task_queue, 0, 1, r.created_at
    FROM (
        SELECT id, created_at FROM pulse_workflow_runs
        WHERE status IN ('pending', 'running', 'waiting') AND engine = 'temporal'
        ORDER BY id
        LIMIT :runs
    ) AS r
    JOIN pulse_run_control AS c ON c.run_id = r.id
) AS found
WHERE found.task_queue <> :task_queue AND NOT EXISTS (
    SELECT 1 FROM pulse_workers AS w
    WHERE w.task_queue = found.task_queue AND w.seen_at > now() - :silence::interval
)
GROUP BY found.task_queue
ORDER BY age DESC, found.task_queue;

-- name: refused_schedules
-- Definitions whose cron Temporal refuses, so that they never tick.
WITH refused AS (
    SELECT id, tenant_id, schedule_error
    FROM pulse_workflow_definitions
    WHERE schedule_queue = :task_queue AND deleted_at IS NULL AND schedule_error IS NOT NULL
    ORDER BY updated_at DESC
    LIMIT :row_limit
)
SELECT
    (SELECT count(*) FROM refused) AS definitions,
    last.id AS definition_id, last.tenant_id, last.schedule_error AS error
FROM (SELECT 1) AS one
LEFT JOIN (SELECT * FROM refused LIMIT 1) AS last ON true;

-- name: rights
-- What the role lacks of the rights that statements need; a column grant for each column is as
-- good as one for the table. And the tables of which row-level security may hide rows from it.
-- names: without the prefix; rights: one for each of them.
WITH wanted AS (
    SELECT c.oid, c.relname, c.relkind, w.wanted_right
    FROM unnest(:names::text[], :rights::text[]) AS w (name, wanted_right)
    JOIN pg_class AS c
        ON c.oid = to_regclass(left('pulse_x', -1) || w.name)
), judged AS (
    SELECT
        w.oid, w.relname, w.relkind, w.wanted_right,
        CASE
            WHEN w.relkind = 'S' THEN has_sequence_privilege(w.oid, w.wanted_right)
            WHEN has_table_privilege(w.oid, w.wanted_right) THEN true
            WHEN w.wanted_right = 'DELETE' THEN false
            ELSE NOT EXISTS (
                SELECT FROM pg_attribute AS a
                WHERE a.attrelid = w.oid AND a.attnum > 0 AND NOT a.attisdropped
                    AND NOT (w.wanted_right <> 'SELECT' AND a.attidentity <> '')
                    AND NOT has_column_privilege(w.oid, a.attnum, w.wanted_right)
            )
        END AS is_granted
    FROM wanted AS w
)
SELECT
    coalesce(
        array_agg(ARRAY[
            CASE WHEN relkind = 'S' THEN 'sequence ' ELSE 'table ' END || relname, wanted_right
        ] ORDER BY relkind DESC, relname, wanted_right) FILTER (WHERE NOT is_granted),
        '{}'
    ) AS missing,
    coalesce(
        bool_or(is_granted AND wanted_right IN ('INSERT', 'UPDATE', 'DELETE')), false
    ) AS can_write,
    coalesce(
        array_agg(DISTINCT relname) FILTER (WHERE relkind <> 'S' AND row_security_active(oid)), '{}'
    ) AS hidden
FROM judged;
