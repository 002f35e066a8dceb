-- name: insert_definition
-- $1 id, $2 tenant_id, $3 name, $4 description, $5 trigger_type, $6 environment_filter,
-- $7 resource_type_filter, $8 steps as text, $9 config as text, $10 is_enabled,
-- $11 cron_expression, $12 timezone, $13 step_plan as text
INSERT INTO pulse_workflow_definitions (
    id, tenant_id, name, description, trigger_type, environment_filter, resource_type_filter,
    steps, config, is_enabled, cron_expression, timezone, step_plan
)
VALUES (
    $1, $2, $3, $4, $5, $6, $7, $8::text::jsonb, $9::text::jsonb, $10, $11, $12,
    $13::text::jsonb
)
RETURNING
    id, tenant_id, name, description, trigger_type, environment_filter, resource_type_filter,
    steps::text AS steps, config::text AS config, is_enabled, cron_expression, timezone,
    version, created_at, updated_at;

-- name: update_definition
-- Replace a definition's content; no row: somebody changed or deleted it since it was read.
-- $1 id, $2 version that was read, $3 … $13 as in insert_definition, from name on
UPDATE pulse_workflow_definitions
SET
    name = $3, description = $4, trigger_type = $5, environment_filter = $6,
    resource_type_filter = $7, steps = $8::text::jsonb, config = $9::text::jsonb,
    enabled_at = CASE WHEN $10 AND NOT is_enabled THEN now() ELSE enabled_at END,
    is_enabled = $10, cron_expression = $11, timezone = $12, step_plan = $13::text::jsonb,
    version = version + 1, updated_at = now()
WHERE id = $1 AND version = $2 AND deleted_at IS NULL
RETURNING
    id, tenant_id, name, description, trigger_type, environment_filter, resource_type_filter,
    steps::text AS steps, config::text AS config, is_enabled, cron_expression, timezone,
    version, created_at, updated_at;

-- name: get_definition
-- $1 id, $2 tenant_id, NULL for any
SELECT
    id, tenant_id, name, description, trigger_type, environment_filter, resource_type_filter,
    steps::text AS steps, config::text AS config, is_enabled, cron_expression, timezone,
    version, created_at, updated_at
FROM pulse_workflow_definitions
WHERE id = $1 AND ($2::text IS NULL OR tenant_id = $2) AND deleted_at IS NULL;

-- name: list_tenant
-- One page of a tenant's definitions, newest first.
-- $1 and $2 created_at and id that the page ends before, NULL and '' from the newest, $3 rows,
-- $4 trigger_type, NULL for any, $5 is_enabled, NULL for both, $6 tenant_id
SELECT
    id, tenant_id, name, description, trigger_type, environment_filter, resource_type_filter,
    steps::text AS steps, config::text AS config, is_enabled, cron_expression, timezone,
    version, created_at, updated_at
FROM pulse_workflow_definitions
WHERE tenant_id = $6
    AND (created_at, id) < (coalesce($1::timestamptz, 'infinity'), $2)
    AND ($4::text IS NULL OR trigger_type = $4)
    AND ($5::bool IS NULL OR is_enabled = $5)
    AND deleted_at IS NULL
ORDER BY created_at DESC, id DESC
LIMIT $3;

-- name: list_all
-- The same of all tenants, for operators.
-- $1 … $5 as in list_tenant
SELECT
    id, tenant_id, name, description, trigger_type, environment_filter, resource_type_filter,
    steps::text AS steps, config::text AS config, is_enabled, cron_expression, timezone,
    version, created_at, updated_at
FROM pulse_workflow_definitions
WHERE (created_at, id) < (coalesce($1::timestamptz, 'infinity'), $2)
    AND ($4::text IS NULL OR trigger_type = $4)
    AND ($5::bool IS NULL OR is_enabled = $5)
    AND deleted_at IS NULL
ORDER BY created_at DESC, id DESC
LIMIT $3;

-- name: set_enabled
-- No row: there is no such definition. The version rises, so that an update that read the
-- definition before does not write the old state back.
-- $1 id, $2 tenant_id, NULL for any, $3 is_enabled
UPDATE pulse_workflow_definitions
SET
    enabled_at = CASE WHEN $3 AND NOT is_enabled THEN now() ELSE enabled_at END,
    version = version + (is_enabled <> $3)::int, is_enabled = $3, updated_at = now()
WHERE id = $1 AND ($2::text IS NULL OR tenant_id = $2) AND deleted_at IS NULL
RETURNING tenant_id, cron_expression;

-- name: delete_definition
-- The row stays, because runs refer to it; nothing shows or matches it any more.
-- $1 id, $2 tenant_id, NULL for any
UPDATE pulse_workflow_definitions
SET is_enabled = false, deleted_at = now(), updated_at = now()
WHERE id = $1 AND ($2::text IS NULL OR tenant_id = $2) AND deleted_at IS NULL
RETURNING tenant_id, cron_expression;

-- name: without_plan
-- Definitions that the TypeScript Pulse has stored; they match once they have a plan.
SELECT
    id, tenant_id, name, description, trigger_type, environment_filter, resource_type_filter,
    steps::text AS steps, config::text AS config, is_enabled, cron_expression, timezone,
    version, created_at, updated_at
FROM pulse_workflow_definitions
WHERE step_plan IS NULL AND deleted_at IS NULL;

-- name: set_plan
-- $1 id, $2 steps as text, $3 step_plan as text
UPDATE pulse_workflow_definitions
SET steps = $2::text::jsonb, step_plan = $3::text::jsonb
WHERE id = $1;
