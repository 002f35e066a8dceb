-- name: lock
-- Read who may act on a run and hold it still; first lock of all.
-- tenant_id: NULL for any.
SELECT tenant_id, generation, task_queue, closed_as
FROM pulse_run_control WHERE run_id = :run_id
    AND (:tenant_id::text IS NULL OR tenant_id = :tenant_id)
FOR NO KEY UPDATE;

-- name: close
-- Let nobody act on a run any more.
-- closed_as: canceled or failed.
UPDATE pulse_run_control SET closed_as = :closed_as
WHERE run_id = :run_id AND tenant_id = :tenant_id;

-- name: open
-- Let a run go on, in its present generation or in a new one.
UPDATE pulse_run_control SET generation = :generation, closed_as = NULL
WHERE run_id = :run_id AND tenant_id = :tenant_id;
