-- name: events
-- $1 run_id, $2 tenant_id, NULL for any
SELECT seq, kind, path, at, detail::text AS detail
FROM pulse_run_events
WHERE run_id = $1 AND ($2::text IS NULL OR tenant_id = $2)
ORDER BY seq;

-- name: logs
-- $1 run_id, $2 tenant_id, NULL for any, $3 levels, NULL for all
SELECT id, run_id, step_run_id, tenant_id, level, message, data::text AS data, created_at,
    coalesce(seq, 0) AS seq
FROM pulse_execution_logs
WHERE run_id = $1 AND ($2::text IS NULL OR tenant_id = $2)
    AND ($3::text[] IS NULL OR level = ANY ($3))
ORDER BY seq, created_at;

-- name: add_log
-- One line outside of an attempt.
-- $1 id, $2 run_id, $3 step_run_id, $4 tenant_id, $5 level, $6 message, $7 data as text,
-- $8 time
INSERT INTO pulse_execution_logs (
    id, run_id, step_run_id, tenant_id, level, message, data, created_at
)
VALUES ($1, $2, $3, $4, $5, $6, $7::text::jsonb, $8);
