-- name: share
-- Read who may act on a run and hold it still against cancel and retry; first lock of all.
-- $1 run_id, $2 tenant_id
SELECT generation, task_queue, cancel_requested_at IS NOT NULL AS is_canceled
FROM pulse_run_control WHERE run_id = $1 AND tenant_id = $2
FOR SHARE;

-- name: lock
-- As share, for a transaction that will change it.
-- $1 run_id, $2 tenant_id, NULL for any
SELECT tenant_id, generation, task_queue, cancel_requested_at IS NOT NULL AS is_canceled
FROM pulse_run_control WHERE run_id = $1 AND ($2::text IS NULL OR tenant_id = $2)
FOR UPDATE;

-- name: begin
-- Let an interpreter begin, when it is the first to speak for its run or branch and generation;
-- a pending run starts running. No row: it is not the first, or the run is canceled.
-- $1 run_id, $2 tenant_id, $3 generation, $4 branch, $5 first_execution_run_id,
-- $6 temporal_run_id
WITH control AS (
    SELECT c.run_id FROM pulse_run_control AS c
    WHERE c.run_id = $1 AND c.tenant_id = $2 AND c.generation = $3
        AND c.cancel_requested_at IS NULL
    FOR SHARE
), run AS (
    UPDATE pulse_workflow_runs AS r
    SET status = 'running', started_at = coalesce(r.started_at, now()), updated_at = now()
    FROM control
    WHERE r.id = $1 AND r.tenant_id = $2 AND $4 = '' AND r.status = 'pending'
    RETURNING r.id
)
INSERT INTO pulse_run_lineages (
    run_id, tenant_id, generation, branch, first_execution_run_id, temporal_run_id
)
SELECT control.run_id, $2, $3, $4, $5, $6
FROM control, (SELECT count(*) FROM run) AS run_first
ON CONFLICT (run_id, generation, branch) DO NOTHING
RETURNING epoch, (
    SELECT r.definition_snapshot::text FROM pulse_workflow_runs AS r WHERE r.id = $1
) AS definition_snapshot;

-- name: lock_lineage
-- $1 run_id, $2 tenant_id, $3 generation, $4 branch
SELECT first_execution_run_id, temporal_run_id, earlier_run_ids, epoch
FROM pulse_run_lineages
WHERE run_id = $1 AND tenant_id = $2 AND generation = $3 AND branch = $4
FOR UPDATE;

-- name: advance_lineage
-- Another Temporal execution speaks from now on; what the one before still writes is refused.
-- $1 run_id, $2 tenant_id, $3 generation, $4 branch, $5 first_execution_run_id,
-- $6 temporal_run_id
UPDATE pulse_run_lineages
SET
    earlier_run_ids = earlier_run_ids || temporal_run_id, first_execution_run_id = $5,
    temporal_run_id = $6, epoch = epoch + 1
WHERE run_id = $1 AND tenant_id = $2 AND generation = $3 AND branch = $4
RETURNING epoch;

-- name: request_cancel
-- $1 run_id, $2 tenant_id
UPDATE pulse_run_control SET cancel_requested_at = now() WHERE run_id = $1 AND tenant_id = $2;

-- name: cancel_run
-- $1 run_id, $2 tenant_id, $3 reason
UPDATE pulse_workflow_runs AS r
SET
    status = 'canceled', canceled_at = now(), cancel_reason = $3, updated_at = now(),
    context = r.context || coalesce((
        SELECT jsonb_object_agg(s.step_name, s.result) FROM pulse_workflow_step_runs AS s
        WHERE s.run_id = $1 AND s.step_type = 'action' AND s.result IS NOT NULL
            AND s.status IN ('completed', 'skipped')
    ), '{}')
WHERE r.id = $1 AND r.tenant_id = $2 AND r.status IN ('pending', 'running', 'waiting');

-- name: cancel_steps
-- Running steps fail as canceled, waiting and pending ones are skipped; the run's own entry
-- follows theirs.
-- $1 run_id, $2 tenant_id, $3 reason, $4 generation
WITH before AS (
    SELECT id, status, step_type FROM pulse_workflow_step_runs
    WHERE run_id = $1 AND tenant_id = $2 AND status IN ('pending', 'scheduled', 'running')
), step AS (
    UPDATE pulse_workflow_step_runs AS s
    SET
        status = CASE WHEN b.status = 'running' THEN 'failed' ELSE 'skipped' END,
        error_message = CASE WHEN b.status = 'running' THEN 'canceled' ELSE s.error_message END,
        skipped_by = CASE WHEN b.status = 'running' THEN NULL ELSE 'canceled' END,
        completed_at = now(), next_attempt_at = NULL, blocked_reason = NULL
    FROM before AS b
    WHERE s.id = b.id
    RETURNING s.id, s.path, s.path_numbers, s.status
), attempt AS (
    UPDATE pulse_step_attempts AS a
    SET status = 'canceled', ended_at = now(), error_message = 'canceled'
    FROM step
    WHERE a.step_run_id = step.id AND a.status = 'open'
), event AS (
    INSERT INTO pulse_run_events (run_id, tenant_id, generation, kind, path, at, detail)
    SELECT $1, $2, $4, 'step_' || status, path, now(),
        CASE WHEN status = 'failed' THEN '{"error": "canceled", "final": true}'::jsonb
            ELSE '{"skippedBy": "canceled"}'::jsonb END
    FROM step ORDER BY path_numbers
    RETURNING 1
), run_event AS (
    INSERT INTO pulse_run_events (run_id, tenant_id, generation, kind, at, detail)
    SELECT $1, $2, $4, 'run_canceled', now(),
        jsonb_strip_nulls(jsonb_build_object('reason', $3::text))
    FROM (SELECT count(*) FROM event) AS steps_first
)
SELECT path FROM step ORDER BY path_numbers;

-- name: next_generation
-- $1 run_id, $2 tenant_id
UPDATE pulse_run_control SET generation = generation + 1
WHERE run_id = $1 AND tenant_id = $2
RETURNING generation, task_queue, cancel_requested_at IS NOT NULL AS is_canceled;

-- name: reopen_run
-- $1 run_id, $2 tenant_id, $3 generation
UPDATE pulse_workflow_runs
SET status = 'running', generation = $3, started_at = coalesce(started_at, now()),
    failed_at = NULL, error_message = NULL, updated_at = now()
WHERE id = $1 AND tenant_id = $2 AND status = 'failed';

-- name: reopen_steps
-- Give what has not ended well to the new generation, with a fresh budget of attempts. What
-- completed or was skipped stays as it is; a failed block runs on, its failed branches start over
-- at the step that failed.
-- $1 run_id, $2 tenant_id, $3 generation
WITH before AS (
    SELECT id, status FROM pulse_workflow_step_runs
    WHERE run_id = $1 AND tenant_id = $2 AND status NOT IN ('completed', 'skipped')
    ORDER BY path_numbers
    FOR UPDATE
), step AS (
    UPDATE pulse_workflow_step_runs AS s
    SET
        status = CASE
            WHEN b.status = 'failed' AND s.step_type = 'parallel' THEN 'running'
            ELSE 'pending'
        END,
        generation = $3, attempt = 0, completed_at = NULL, next_attempt_at = NULL,
        blocked_reason = NULL, blocked_since = NULL
    FROM before AS b
    WHERE s.id = b.id
    RETURNING s.path, s.path_numbers, b.status AS status_before
)
INSERT INTO pulse_run_events (run_id, tenant_id, generation, kind, path, at, detail)
SELECT $1, $2, $3, 'step_scheduled', path, now(),
    jsonb_build_object('reason', 'retry', 'generation', $3::int)
FROM step WHERE status_before = 'failed' ORDER BY path_numbers;
