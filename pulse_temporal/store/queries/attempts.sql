-- name: list_attempts
-- In document order, those of one step in the order of their claims.
-- tenant_id: NULL for any; path: NULL for all steps.
SELECT
    a.step_run_id, a.run_id, a.tenant_id, s.path, s.step_name, a.generation, a.claim, a.attempt,
    a.status, a.worker_id, a.started_at, a.deadline_at, a.ended_at, a.error_message, a.traceback
FROM pulse_step_attempts AS a
JOIN pulse_workflow_step_runs AS s ON s.id = a.step_run_id
WHERE a.run_id = :run_id AND (:tenant_id::text IS NULL OR a.tenant_id = :tenant_id)
    AND (:path::text IS NULL OR s.path = :path)
ORDER BY s.path_numbers, a.claim;

-- name: hold
-- Say of open attempts that their worker is at work on them although it cannot tell Temporal.
-- hold_loops: which of them block the worker's event loop.
UPDATE pulse_step_attempts AS a
SET held_at = now(), holds_loop = a.holds_loop OR h.holds_loop
FROM unnest(:step_run_ids::text[], :claims::int[], :hold_loops::bool[])
    AS h (step_run_id, claim, holds_loop)
WHERE a.step_run_id = h.step_run_id AND a.claim = h.claim AND a.status = 'open';
