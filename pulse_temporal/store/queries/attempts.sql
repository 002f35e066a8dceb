-- name: list_attempts
-- In document order, those of one step in the order of their claims.
-- $1 run_id, $2 tenant_id, NULL for any, $3 path, NULL for all steps
SELECT
    a.step_run_id, a.run_id, a.tenant_id, s.path, s.step_name, a.generation, a.claim, a.attempt,
    a.status, a.worker_id, a.started_at, a.deadline_at, a.ended_at, a.error_message, a.traceback
FROM pulse_step_attempts AS a
JOIN pulse_workflow_step_runs AS s ON s.id = a.step_run_id
WHERE a.run_id = $1 AND ($2::text IS NULL OR a.tenant_id = $2)
    AND ($3::text IS NULL OR s.path = $3)
ORDER BY s.path_numbers, a.claim;
