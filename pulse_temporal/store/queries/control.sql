-- name: lock
-- Read who may act on a run and hold it still; first lock of all.
-- tenant_id: NULL for any.
SELECT tenant_id, generation, task_queue, closed_as
FROM pulse_run_control WHERE run_id = :run_id
    AND (:tenant_id::text IS NULL OR tenant_id = :tenant_id)
FOR NO KEY UPDATE;

-- name: begin
-- Let an interpreter begin, when it is the first to speak for its run or branch and generation;
-- a pending run starts running. No row: it is not the first, the run is over, or it needs a newer
-- release.
-- dialect: the newest that the process knows.
WITH control AS (
    SELECT c.run_id FROM pulse_run_control AS c
    JOIN pulse_workflow_runs AS r
        ON r.id = c.run_id AND r.status IN ('pending', 'running', 'waiting')
            AND r.dialect <= :dialect
    WHERE {{control_is_open}}
    FOR SHARE OF c
), run AS (
    UPDATE pulse_workflow_runs AS r
    SET status = 'running', started_at = coalesce(r.started_at, now()), updated_at = now()
    FROM control
    WHERE r.id = :run_id AND r.tenant_id = :tenant_id AND :branch = '' AND r.status = 'pending'
    RETURNING r.id
)
INSERT INTO pulse_run_lineages (
    run_id, tenant_id, generation, branch, first_execution_run_id, temporal_run_id
)
SELECT control.run_id, :tenant_id, :generation, :branch, :first_execution_run_id, :temporal_run_id
FROM control, (SELECT count(*) FROM run) AS run_first
ON CONFLICT (run_id, generation, branch) DO NOTHING
RETURNING epoch, (
    SELECT r.definition_snapshot::text FROM pulse_workflow_runs AS r WHERE r.id = :run_id
) AS definition_snapshot;

-- name: needed
-- The dialect that a run needs.
SELECT dialect FROM pulse_workflow_runs WHERE id = :run_id AND tenant_id = :tenant_id;

-- name: lineage
-- Read a lineage for a change; it needs no lock, because only who holds the control row writes one.
SELECT first_execution_run_id, temporal_run_id, earlier_run_ids, epoch
FROM pulse_run_lineages
WHERE run_id = :run_id AND tenant_id = :tenant_id AND generation = :generation AND branch = :branch;

-- name: advance_lineage
-- Another Temporal execution speaks from now on; what the one before still writes is refused.
UPDATE pulse_run_lineages
SET
    earlier_run_ids = earlier_run_ids || temporal_run_id,
    first_execution_run_id = :first_execution_run_id,
    temporal_run_id = :temporal_run_id, epoch = epoch + 1
WHERE run_id = :run_id AND tenant_id = :tenant_id AND generation = :generation AND branch = :branch
RETURNING epoch;

-- name: close
-- Let nobody act on a run any more.
-- closed_as: canceled or failed.
UPDATE pulse_run_control SET closed_as = :closed_as
WHERE run_id = :run_id AND tenant_id = :tenant_id;

-- name: cancel_run
-- End a run and its steps as canceled: what runs fails, what waits or has not begun is skipped.
-- The control and run row are locked.
-- by: the person who cancels, or NULL.
WITH before AS (
    -- Locked in document order, as everywhere: two that lock steps in other orders would wait for
    -- each other for ever.
    SELECT id, status, step_type FROM pulse_workflow_step_runs
    WHERE run_id = :run_id AND tenant_id = :tenant_id
        AND status IN ('pending', 'scheduled', 'running')
    ORDER BY path_numbers
    FOR NO KEY UPDATE
), step AS (
    -- What was at work has failed, what had not begun is passed over.
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
    -- A worker that is still at it has lost the step: it records nothing.
    UPDATE pulse_step_attempts AS a
    SET status = 'canceled', ended_at = now(), error_message = 'canceled'
    FROM step
    WHERE a.step_run_id = step.id AND a.status = 'open'
), event AS (
    -- In document order.
    INSERT INTO pulse_run_events ({{step_event}})
    SELECT :run_id, :tenant_id, :generation, 'step_' || status, path, now(),
        CASE WHEN status = 'failed' THEN '{"error": "canceled", "final": true}'::jsonb
            ELSE '{"skippedBy": "canceled"}'::jsonb END
    FROM step ORDER BY path_numbers
    RETURNING 1
), ending AS (
    -- Behind the steps, so that the timeline ends with the run.
    SELECT
        :run_id::text AS run_id, 'canceled' AS status, now() AS at, :reason::text AS reason,
        NULL::timestamptz AS began_at, '{}'::jsonb AS result,
        jsonb_strip_nulls(jsonb_build_object('by', :by::text)) AS detail
    FROM (SELECT count(*) FROM event) AS steps_first
), {{run_end}}
SELECT path FROM step ORDER BY path_numbers;

-- name: open
-- Let a run go on, in its present generation or in a new one.
UPDATE pulse_run_control SET generation = :generation, closed_as = NULL
WHERE run_id = :run_id AND tenant_id = :tenant_id;

-- name: reopen_run
UPDATE pulse_workflow_runs
SET status = 'running', generation = :generation, started_at = coalesce(started_at, now()),
    failed_at = NULL, error_message = NULL, updated_at = now()
WHERE id = :run_id AND tenant_id = :tenant_id
    AND status IN ('pending', 'running', 'waiting', 'failed');

-- name: reopen_steps
-- Give what has not ended well to the generation that goes on, with a fresh budget of attempts.
-- What completed or was skipped stays as it is; a block runs on, its branches start over at the
-- step that had not ended. Workers that are still at it have lost the step.
-- why: retry, reset or restart; source: who says so, NULL for the application; by: the person
-- who retries, or NULL.
WITH before AS (
    SELECT id, status FROM pulse_workflow_step_runs
    WHERE run_id = :run_id AND tenant_id = :tenant_id AND status NOT IN ('completed', 'skipped')
    ORDER BY path_numbers
    FOR NO KEY UPDATE
), step AS (
    UPDATE pulse_workflow_step_runs AS s
    SET
        status = CASE
            WHEN b.status IN ('failed', 'running') AND s.step_type = 'parallel' THEN 'running'
            ELSE 'pending'
        END,
        generation = :generation, attempt = 0, completed_at = NULL, next_attempt_at = NULL,
        blocked_reason = NULL, blocked_since = NULL
    FROM before AS b
    WHERE s.id = b.id
    RETURNING s.id, s.path, s.path_numbers, b.status AS status_before
), attempt AS (
    UPDATE pulse_step_attempts AS a
    SET status = 'lost', ended_at = now(), error_message = 'the run went on without it'
    FROM step
    WHERE a.step_run_id = step.id AND a.status = 'open'
)
INSERT INTO pulse_run_events ({{step_event}})
SELECT :run_id, :tenant_id, :generation, 'step_scheduled', path, now(),
    jsonb_strip_nulls(jsonb_build_object(
        'reason', :why::text, 'generation', :generation::int,
        'source', :source::text, 'by', :by::text
    ))
FROM step WHERE status_before IN ('failed', 'running', 'scheduled') ORDER BY path_numbers;
