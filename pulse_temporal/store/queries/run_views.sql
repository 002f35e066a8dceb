-- What lists and pages show of runs. None of these reads a context, the steps of a snapshot, a
-- result or a payload: each may weigh as much as the rest of a page.

-- name: summaries
-- Runs by their ids, in this order.
-- tenant_id: NULL for any; late_after: how long a run may be pending.
SELECT
    {{summary_columns(r)}},
    v.version AS definition_version
FROM unnest(:run_ids::text[]) WITH ORDINALITY AS wanted (id, position)
JOIN pulse_workflow_runs AS r ON r.id = wanted.id
{{summary_joins(r)}}
LEFT JOIN LATERAL (
    -- The version that held when the run was created: its snapshot is not read.
    SELECT p.version FROM pulse_definition_versions AS p
    WHERE p.definition_id = r.definition_id AND p.valid_from <= r.created_at
    ORDER BY p.version DESC LIMIT 1
) AS v ON true
WHERE :tenant_id::text IS NULL OR r.tenant_id = :tenant_id
ORDER BY wanted.position;

-- name: view
-- One run with what its page shows besides; of its snapshot, the version.
-- tenant_id: NULL for any; late_after: how long a run may be pending; silence: after which a worker
-- counts as gone.
SELECT
    {{summary_columns(r)}},
    (r.definition_snapshot -> 'version')::text AS definition_version,
    CASE WHEN d.deleted_at IS NULL THEN d.version END AS definition_version_now,
    t.source, t.caused_by_run_id, t.depth, r.replay_of_run_id, r.engine, r.updated_at,
    left(r.cancel_reason, 1000) AS cancel_reason, c.task_queue, l.temporal_run_id,
    w.live_workers, w.worker_seen_at,
    (
        SELECT max(b.at) FROM pulse_run_events AS b
        WHERE b.run_id = r.id AND b.kind = 'step_scheduled' AND b.detail @> '{"reason": "restart"}'
    ) AS restarted_at
FROM pulse_workflow_runs AS r
{{summary_joins(r)}}
LEFT JOIN pulse_run_control AS c ON c.run_id = r.id
LEFT JOIN pulse_run_lineages AS l
    ON l.run_id = r.id AND l.generation = r.generation AND l.branch = ''
CROSS JOIN LATERAL (
    SELECT
        count(*) FILTER (WHERE k.seen_at > now() - :silence::interval) AS live_workers,
        max(k.seen_at) AS worker_seen_at
    FROM pulse_workers AS k WHERE k.task_queue = c.task_queue
) AS w
WHERE r.id = :run_id AND (:tenant_id::text IS NULL OR r.tenant_id = :tenant_id);

-- name: steps
-- The steps of a run, in document order.
-- tenant_id: NULL for any.
SELECT
    {{step_summary(s)}}
FROM pulse_workflow_step_runs AS s
WHERE s.run_id = :run_id AND (:tenant_id::text IS NULL OR s.tenant_id = :tenant_id)
ORDER BY s.path_numbers, s.created_at;

-- name: spans
-- When the attempts of a run's steps began and ended, in the order of their claims.
-- tenant_id: NULL for any.
SELECT a.step_run_id, a.claim, a.attempt, a.generation, a.status, a.started_at, a.ended_at
FROM pulse_step_attempts AS a
WHERE a.run_id = :run_id AND (:tenant_id::text IS NULL OR a.tenant_id = :tenant_id)
ORDER BY a.step_run_id, a.claim;

-- name: log_counts
-- How many lines each step of a run has written, and how many of them are no mere information.
-- tenant_id: NULL for any.
SELECT l.step_run_id, count(*) AS lines, count(*) FILTER (WHERE l.level <> 'info') AS warnings
FROM pulse_execution_logs AS l
WHERE l.run_id = :run_id AND (:tenant_id::text IS NULL OR l.tenant_id = :tenant_id)
    AND l.step_run_id IS NOT NULL
GROUP BY l.step_run_id;

-- name: step
-- One step with its result, the parts of the frozen definition that say its config, and how much
-- the results weigh that its handler sees: as in claims.claim.
-- tenant_id: NULL for any.
SELECT
    {{step_summary(s)}}, s.result::text AS result, s.error_message AS whole_error,
    r.definition_snapshot::text AS definition_snapshot, r.started_at AS run_started_at,
    coalesce(r.completed_at, r.failed_at, r.canceled_at) AS run_ended_at,
    written.lines, written.warnings,
    (
        SELECT coalesce(sum(e.result_bytes), 0)
        FROM pulse_workflow_step_runs AS e
        WHERE e.run_id = s.run_id AND {{joins_context(e)}} AND EXISTS (
            SELECT 1 FROM generate_series(1, cardinality(s.path_numbers), 2) AS d (depth)
            WHERE e.path_numbers[1:d.depth - 1] = s.path_numbers[1:d.depth - 1]
                AND e.path_numbers[d.depth] < s.path_numbers[d.depth]
        )
    ) AS context_bytes
FROM pulse_workflow_step_runs AS s
JOIN pulse_workflow_runs AS r ON r.id = s.run_id
CROSS JOIN LATERAL (
    SELECT count(*) AS lines, count(*) FILTER (WHERE l.level <> 'info') AS warnings
    FROM pulse_execution_logs AS l WHERE l.step_run_id = s.id
) AS written
WHERE s.run_id = :run_id AND s.path = :path
    AND (:tenant_id::text IS NULL OR s.tenant_id = :tenant_id);

-- name: step_logs
-- The lines of one delivery of a step: those that stand in the timeline between its beginning and
-- that of the next delivery; clocks do not count. Without a delivery, all lines of the step.
-- delivery: its position among those of the step, from 1; NULL: all.
-- tenant_id: NULL for any.
WITH begun AS (
    SELECT e.seq, row_number() OVER (ORDER BY e.seq) AS position
    FROM pulse_run_events AS e
    WHERE e.run_id = :run_id AND e.path = :path AND e.kind = 'step_started'
        AND :delivery::int IS NOT NULL
)
SELECT
    l.id, l.run_id, l.step_run_id, l.tenant_id, l.level, l.message, l.data::text AS data,
    l.created_at, coalesce(l.seq, 0) AS seq
FROM pulse_execution_logs AS l
WHERE l.run_id = :run_id AND l.step_run_id = :step_run_id
    AND (:tenant_id::text IS NULL OR l.tenant_id = :tenant_id)
    AND coalesce(l.seq, 0) >= coalesce(
        (SELECT b.seq FROM begun AS b WHERE b.position = :delivery::int), 0
    )
    AND coalesce(l.seq, 0) < coalesce(
        (SELECT b.seq FROM begun AS b WHERE b.position = :delivery::int + 1), 9223372036854775807
    )
ORDER BY l.seq, l.created_at
LIMIT :row_limit;
