-- name: take_turn
-- Let one process a period compare this queue's runs with Temporal. No row: it is not yet due.
-- pause: until the next turn.
INSERT INTO pulse_reconcilers AS r (task_queue, due_at) VALUES (:task_queue, now() + :pause)
ON CONFLICT (task_queue) DO UPDATE SET due_at = now() + :pause WHERE r.due_at <= now()
RETURNING task_queue;

-- name: state
SELECT namespace_id, position, listed_before, report::text AS report
FROM pulse_reconcilers WHERE task_queue = :task_queue;

-- name: note
-- Keep what a comparison has found.
-- report: JSON text.
INSERT INTO pulse_reconcilers (task_queue, namespace_id, position, listed_before, report)
VALUES (:task_queue, :namespace_id, :position, :listed_before, :report::text::jsonb)
ON CONFLICT (task_queue) DO UPDATE
SET namespace_id = :namespace_id, position = :position, listed_before = :listed_before,
    report = :report::text::jsonb;

-- name: open_runs
-- Runs that are not over and about which no command is on its way to Temporal, in id order. All of
-- them were started once: a start command is deleted when Temporal has answered it. Those of the
-- TypeScript Pulse were not, and are left out.
-- after: id to continue after, or NULL; age: of the last change at least.
SELECT
    r.id, r.tenant_id, c.generation,
    EXISTS (
        SELECT 1 FROM pulse_run_lineages AS l
        WHERE l.run_id = r.id AND l.generation = c.generation AND l.branch = ''
    ) AS has_begun
FROM pulse_workflow_runs AS r
JOIN pulse_run_control AS c ON c.run_id = r.id
WHERE r.status IN ('pending', 'running', 'waiting') AND r.engine = 'temporal'
    AND c.task_queue = :task_queue AND r.id > coalesce(:after, '')
        AND r.updated_at <= now() - :age::interval
    AND NOT EXISTS (SELECT 1 FROM pulse_outbox AS o WHERE o.run_id = r.id)
ORDER BY r.id
LIMIT :row_limit;

-- name: count_open
-- How many runs are not over, of all queues; counting ends at the limit.
SELECT count(*) AS runs FROM (
    SELECT 1 FROM pulse_workflow_runs
    WHERE status IN ('pending', 'running', 'waiting')
    LIMIT :row_limit
) AS counted;

-- name: standing
-- An id that is missing from the answer is unknown. age: of the last change.
SELECT
    r.id, r.tenant_id, r.status, c.generation,
    r.updated_at <= now() - :age::interval
        AND NOT EXISTS (SELECT 1 FROM pulse_outbox AS o WHERE o.run_id = r.id) AS is_settled
FROM pulse_workflow_runs AS r
JOIN pulse_run_control AS c ON c.run_id = r.id
WHERE r.id = ANY (:run_ids::text[]);

-- name: has_command
-- Whether a command about a run is on its way to Temporal.
SELECT id FROM pulse_outbox WHERE run_id = :run_id AND tenant_id = :tenant_id LIMIT 1;

-- name: restarts
-- How often a run was restarted since somebody has retried it.
SELECT count(*) AS restarts FROM pulse_execution_logs AS l
WHERE l.run_id = :run_id AND l.tenant_id = :tenant_id AND l.step_run_id IS NULL
    AND l.data ->> 'source' = 'reconciler' AND l.data ->> 'repair' = 'restart'
    AND l.seq > coalesce((
        SELECT max(e.seq) FROM pulse_run_events AS e
        WHERE e.run_id = :run_id AND e.detail ->> 'reason' = 'retry'
    ), 0);

-- name: scheduled
-- Definitions whose schedule this queue keeps, but for those with a command on its way, and those
-- whose schedule Temporal refuses.
SELECT
    d.id, d.tenant_id, d.is_enabled, d.cron_expression, coalesce(d.timezone, 'UTC') AS timezone
FROM pulse_workflow_definitions AS d
WHERE d.schedule_queue = :task_queue AND d.deleted_at IS NULL AND d.cron_expression IS NOT NULL
    AND d.schedule_error IS NULL
    AND NOT EXISTS (
        SELECT 1 FROM pulse_outbox AS o
        WHERE o.kind = 'schedule' AND o.definition_id = d.id AND o.task_queue = :task_queue
    );

-- name: unscheduled
-- Definitions of this database, among these, that should have no schedule: deleted, or without
-- cron. What it does not know is another database's, and what another queue keeps is left alone.
-- Those with a command on its way are left out too.
SELECT d.id, d.tenant_id FROM pulse_workflow_definitions AS d
WHERE d.id = ANY (:definition_ids::text[])
    AND (d.deleted_at IS NOT NULL OR d.cron_expression IS NULL)
    AND NOT EXISTS (
        SELECT 1 FROM pulse_outbox AS o
        WHERE o.kind = 'schedule' AND o.definition_id = d.id AND o.task_queue = :task_queue
    );
