-- name: events
-- tenant_id: NULL for any.
SELECT seq, kind, path, at, detail::text AS detail
FROM pulse_run_events
WHERE run_id = :run_id AND (:tenant_id::text IS NULL OR tenant_id = :tenant_id)
ORDER BY seq;

-- name: logs
-- tenant_id: NULL for any; levels: NULL for all.
SELECT id, run_id, step_run_id, tenant_id, level, message, data::text AS data, created_at,
    coalesce(seq, 0) AS seq
FROM pulse_execution_logs
WHERE run_id = :run_id AND (:tenant_id::text IS NULL OR tenant_id = :tenant_id)
    AND (:levels::text[] IS NULL OR level = ANY (:levels))
ORDER BY seq, created_at;

-- name: add_log
-- One line outside of an attempt.
-- data: JSON text.
INSERT INTO pulse_execution_logs (
    id, run_id, step_run_id, tenant_id, level, message, data, created_at
)
VALUES (:id, :run_id, :step_run_id, :tenant_id, :level, :message, :data::text::jsonb, :at);
