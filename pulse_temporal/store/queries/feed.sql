-- What a look at the runs that somebody watches finds.

-- name: watched
-- One row for each run that exists; equal rows say that nothing has changed in between.
-- run_ids, tenant_ids: one of each for a watched run; a tenant_id that is NULL means any.
SELECT w.run_id, w.tenant_id, r.status, r.updated_at,
    (SELECT max(e.seq) FROM pulse_run_events AS e WHERE e.run_id = r.id) AS event_seq,
    (SELECT max(l.seq) FROM pulse_execution_logs AS l WHERE l.run_id = r.id) AS log_seq
FROM unnest(:run_ids::text[], :tenant_ids::text[]) AS w (run_id, tenant_id)
JOIN pulse_workflow_runs AS r
    ON r.id = w.run_id AND (w.tenant_id IS NULL OR r.tenant_id = w.tenant_id);
