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

-- name: hold
-- Say of open attempts that their worker is at work on them although it cannot tell Temporal.
-- $1 step_run_ids, $2 claims, $3 which of them block the worker's event loop
UPDATE pulse_step_attempts AS a
SET held_at = now(), holds_loop = a.holds_loop OR h.holds_loop
FROM unnest($1::text[], $2::int[], $3::bool[]) AS h (step_run_id, claim, holds_loop)
WHERE a.step_run_id = h.step_run_id AND a.claim = h.claim AND a.status = 'open';
