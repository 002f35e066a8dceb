-- name: lock
-- Wait for the right to change a definition's schedule; it lasts until the transaction ends.
SELECT pg_advisory_xact_lock(hashtextextended('pulse_schedules ' || :definition_id::text, 0));

-- name: find_owner
-- What a definition's schedule follows from; no row: it never was, for deleted ones stay.
-- tenant_id: NULL for any.
SELECT
    id, tenant_id, trigger_type, environment_filter, resource_type_filter, is_enabled,
    cron_expression, coalesce(timezone, 'UTC') AS timezone, schedule_queue, schedule_error,
    deleted_at IS NOT NULL AS is_deleted, dialect
FROM pulse_workflow_definitions
WHERE id = :definition_id AND (:tenant_id::text IS NULL OR tenant_id = :tenant_id);

-- name: keep
-- Note who keeps a definition's schedule.
UPDATE pulse_workflow_definitions SET schedule_queue = :task_queue
WHERE id = :definition_id AND tenant_id = :tenant_id
    AND schedule_queue IS DISTINCT FROM :task_queue;

-- name: story
-- What a definition's ticks followed at a moment and since, oldest first: the newest version with
-- content from before, or the first one, and all later ones. At last the row itself where it is
-- newer than its versions: processes of a release that keeps none may still be at work.
WITH version AS (
    SELECT version, kind, valid_from, content
    FROM pulse_definition_versions
    WHERE definition_id = :definition_id AND tenant_id = :tenant_id AND version >= coalesce((
        SELECT max(version) FROM pulse_definition_versions
        WHERE definition_id = :definition_id AND tenant_id = :tenant_id AND kind = 'content'
            AND valid_from <= :since
    ), 0)
), told AS (
    SELECT
        version, kind, valid_from, content IS NOT NULL AS has_content,
        (content ->> 'isEnabled')::bool AS is_enabled,
        content ->> 'cronExpression' AS cron_expression,
        coalesce(content ->> 'timezone', 'UTC') AS timezone
    FROM version
    UNION ALL
    SELECT
        d.version, CASE WHEN d.deleted_at IS NULL THEN 'content' ELSE 'deleted' END,
        coalesce(d.deleted_at, d.updated_at), true, d.is_enabled, d.cron_expression,
        coalesce(d.timezone, 'UTC')
    FROM pulse_workflow_definitions AS d
    WHERE d.id = :definition_id AND d.tenant_id = :tenant_id AND NOT EXISTS (
        SELECT 1 FROM version AS v
        WHERE v.version >= d.version AND (d.deleted_at IS NULL OR v.kind = 'deleted')
    )
)
SELECT * FROM told ORDER BY version, valid_from;

-- name: now
-- The time, also in a transaction that has lasted for a while.
SELECT clock_timestamp() AS now;

-- name: note_error
-- Keep why Temporal refuses a definition's schedule.
-- error: NULL when there is none.
UPDATE pulse_workflow_definitions SET schedule_error = :error
WHERE id = :definition_id AND tenant_id = :tenant_id AND schedule_error IS DISTINCT FROM :error;
