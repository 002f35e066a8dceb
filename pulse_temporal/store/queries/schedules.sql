-- name: lock
-- Wait for the right to change a definition's schedule; it lasts until the transaction ends.
-- $1 definition_id
SELECT pg_advisory_xact_lock(hashtextextended('pulse_schedules ' || $1::text, 0));

-- name: find_owner
-- What a definition's schedule follows from; no row: it never was, for deleted ones stay.
-- $1 definition_id, $2 tenant_id, NULL for any
SELECT
    id, tenant_id, trigger_type, environment_filter, resource_type_filter, is_enabled,
    enabled_at, cron_expression, coalesce(timezone, 'UTC') AS timezone, schedule_queue,
    deleted_at IS NOT NULL AS is_deleted
FROM pulse_workflow_definitions
WHERE id = $1 AND ($2::text IS NULL OR tenant_id = $2);

-- name: keep
-- Note who keeps a definition's schedule.
-- $1 definition_id, $2 tenant_id, $3 task_queue
UPDATE pulse_workflow_definitions SET schedule_queue = $3
WHERE id = $1 AND tenant_id = $2 AND schedule_queue IS DISTINCT FROM $3;
