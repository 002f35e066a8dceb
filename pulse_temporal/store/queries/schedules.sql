-- name: try_lock
-- Take the right to change a definition's schedule until the transaction ends; false: another
-- transaction has it.
-- $1 definition_id
SELECT pg_try_advisory_xact_lock(hashtextextended('pulse_schedules ' || $1::text, 0)) AS locked;

-- name: find_owner
-- What a definition's schedule follows from; no row: it is deleted, or never was.
-- $1 definition_id, $2 tenant_id
SELECT
    id, tenant_id, trigger_type, environment_filter, resource_type_filter, is_enabled,
    enabled_at, cron_expression, coalesce(timezone, 'UTC') AS timezone
FROM pulse_workflow_definitions
WHERE id = $1 AND tenant_id = $2 AND deleted_at IS NULL;
