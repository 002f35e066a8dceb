-- name: insert_definition
-- No row: the tenant has a definition of this key.
-- $1 id, $2 tenant_id, $3 name, $4 description, $5 trigger_type, $6 environment_filter,
-- $7 resource_type_filter, $8 steps as text, $9 config as text, $10 is_enabled,
-- $11 cron_expression, $12 timezone, $13 key, $14 step_plan as text
INSERT INTO pulse_workflow_definitions (
    id, tenant_id, name, description, trigger_type, environment_filter, resource_type_filter,
    steps, config, is_enabled, cron_expression, timezone, key, step_plan
)
VALUES (
    $1, $2, $3, $4, $5, $6, $7, $8::text::jsonb, $9::text::jsonb, $10, $11, $12, $13,
    $14::text::jsonb
)
ON CONFLICT (tenant_id, key) WHERE key IS NOT NULL AND deleted_at IS NULL DO NOTHING
RETURNING
    id, tenant_id, name, description, trigger_type, environment_filter, resource_type_filter,
    steps::text AS steps, config::text AS config, is_enabled, cron_expression, timezone,
    key, schedule_error, version, created_at, updated_at;

-- name: update_definition
-- Replace the content of a definition that is locked; no row: it is the same already. JSON is
-- compared as Postgres writes it, so that what reads the same is the same, and 1 is not 1.0.
-- The moment is read behind the lock, so that versions follow each other in time.
-- $1 id, $2 tenant_id, $3 … $14 as in insert_definition
UPDATE pulse_workflow_definitions
SET
    name = $3, description = $4, trigger_type = $5, environment_filter = $6,
    resource_type_filter = $7, steps = $8::text::jsonb, config = $9::text::jsonb,
    enabled_at = CASE WHEN $10 AND NOT is_enabled THEN clock_timestamp() ELSE enabled_at END,
    is_enabled = $10, cron_expression = $11, timezone = $12, key = $13,
    step_plan = $14::text::jsonb, schedule_error = NULL,
    version = version + 1, updated_at = clock_timestamp()
WHERE id = $1 AND tenant_id = $2 AND (
    name, description, trigger_type, environment_filter, resource_type_filter, steps::text,
    config::text, is_enabled, cron_expression, timezone, key
) IS DISTINCT FROM (
    $3, $4, $5, $6, $7, $8::text::jsonb::text, $9::text::jsonb::text, $10, $11, $12, $13
)
RETURNING
    id, tenant_id, name, description, trigger_type, environment_filter, resource_type_filter,
    steps::text AS steps, config::text AS config, is_enabled, cron_expression, timezone,
    key, schedule_error, version, created_at, updated_at;

-- name: note_version
-- Keep what a definition has become; it was changed in this transaction.
-- $1 id, $2 tenant_id, $3 kind: content, enabled, disabled or deleted
INSERT INTO pulse_definition_versions (definition_id, version, tenant_id, kind, content, valid_from)
SELECT
    id, version, tenant_id, $3::text,
    CASE WHEN $3::text = 'content' THEN jsonb_strip_nulls(jsonb_build_object(
        'key', key, 'name', name, 'description', description, 'triggerType', trigger_type,
        'environmentFilter', environment_filter, 'resourceTypeFilter', resource_type_filter,
        'isEnabled', is_enabled, 'cronExpression', cron_expression, 'timezone', timezone
    )) || jsonb_build_object('steps', steps, 'config', config) END,
    updated_at
FROM pulse_workflow_definitions
WHERE id = $1 AND tenant_id = $2;

-- name: lock_definition
-- A definition, which nobody else changes until the transaction ends. Runs may refer to it
-- meanwhile: they need its id only.
-- $1 id, $2 tenant_id, NULL for any
SELECT
    id, tenant_id, name, description, trigger_type, environment_filter, resource_type_filter,
    steps::text AS steps, config::text AS config, is_enabled, cron_expression, timezone,
    key, schedule_error, version, created_at, updated_at
FROM pulse_workflow_definitions
WHERE id = $1 AND ($2::text IS NULL OR tenant_id = $2) AND deleted_at IS NULL
FOR NO KEY UPDATE;

-- name: lock_by_key
-- The same by key.
-- $1 tenant_id, $2 key
SELECT
    id, tenant_id, name, description, trigger_type, environment_filter, resource_type_filter,
    steps::text AS steps, config::text AS config, is_enabled, cron_expression, timezone,
    key, schedule_error, version, created_at, updated_at
FROM pulse_workflow_definitions
WHERE tenant_id = $1 AND key = $2 AND deleted_at IS NULL
FOR NO KEY UPDATE;

-- name: get_definition
-- $1 id, $2 tenant_id, NULL for any
SELECT
    id, tenant_id, name, description, trigger_type, environment_filter, resource_type_filter,
    steps::text AS steps, config::text AS config, is_enabled, cron_expression, timezone,
    key, schedule_error, version, created_at, updated_at
FROM pulse_workflow_definitions
WHERE id = $1 AND ($2::text IS NULL OR tenant_id = $2) AND deleted_at IS NULL;

-- name: list_tenant
-- One page of a tenant's definitions, newest first, as many as there is room for and at least one.
-- looked: how many there were to choose from, the one after the page included.
-- $1 and $2 created_at and id that the page ends before, NULL and '' from the newest, $3 rows,
-- $4 trigger_type, NULL for any, $5 is_enabled, NULL for both, $6 bytes of steps and config
-- together, $7 tenant_id
WITH wanted AS (
    SELECT
        id, tenant_id, name, description, trigger_type, environment_filter, resource_type_filter,
        steps::text AS steps, config::text AS config, is_enabled, cron_expression, timezone,
        key, schedule_error, version, created_at, updated_at
    FROM pulse_workflow_definitions
    WHERE tenant_id = $7
        AND (created_at, id) < (coalesce($1::timestamptz, 'infinity'), $2)
        AND ($4::text IS NULL OR trigger_type = $4)
        AND ($5::bool IS NULL OR is_enabled = $5)
        AND deleted_at IS NULL
    ORDER BY created_at DESC, id DESC
    LIMIT $3
), measured AS (
    SELECT
        w.*, count(*) OVER () AS looked, row_number() OVER in_order AS number,
        sum(octet_length(w.steps) + octet_length(w.config)) OVER in_order AS bytes
    FROM wanted AS w
    WINDOW in_order AS (ORDER BY w.created_at DESC, w.id DESC)
)
SELECT * FROM measured WHERE number = 1 OR bytes <= $6 ORDER BY number;

-- name: list_all
-- The same of all tenants, for operators.
-- $1 … $6 as in list_tenant
WITH wanted AS (
    SELECT
        id, tenant_id, name, description, trigger_type, environment_filter, resource_type_filter,
        steps::text AS steps, config::text AS config, is_enabled, cron_expression, timezone,
        key, schedule_error, version, created_at, updated_at
    FROM pulse_workflow_definitions
    WHERE (created_at, id) < (coalesce($1::timestamptz, 'infinity'), $2)
        AND ($4::text IS NULL OR trigger_type = $4)
        AND ($5::bool IS NULL OR is_enabled = $5)
        AND deleted_at IS NULL
    ORDER BY created_at DESC, id DESC
    LIMIT $3
), measured AS (
    SELECT
        w.*, count(*) OVER () AS looked, row_number() OVER in_order AS number,
        sum(octet_length(w.steps) + octet_length(w.config)) OVER in_order AS bytes
    FROM wanted AS w
    WINDOW in_order AS (ORDER BY w.created_at DESC, w.id DESC)
)
SELECT * FROM measured WHERE number = 1 OR bytes <= $6 ORDER BY number;

-- name: set_enabled
-- Enable or disable a definition that is locked and is not yet so.
-- $1 id, $2 tenant_id, $3 is_enabled
UPDATE pulse_workflow_definitions
SET
    enabled_at = CASE WHEN $3 THEN clock_timestamp() ELSE enabled_at END, is_enabled = $3,
    version = version + 1, updated_at = clock_timestamp()
WHERE id = $1 AND tenant_id = $2;

-- name: delete_definition
-- Hide a definition that is locked. The row stays, because runs refer to it; nothing shows or
-- matches it any more, and its key is free.
-- $1 id, $2 tenant_id
UPDATE pulse_workflow_definitions
SET
    is_enabled = false, deleted_at = clock_timestamp(), updated_at = clock_timestamp(),
    version = version + 1
WHERE id = $1 AND tenant_id = $2;

-- name: without_plan
-- Definitions that the TypeScript Pulse has stored; they match once they have a plan.
SELECT
    id, tenant_id, name, description, trigger_type, environment_filter, resource_type_filter,
    steps::text AS steps, config::text AS config, is_enabled, cron_expression, timezone,
    key, schedule_error, version, created_at, updated_at
FROM pulse_workflow_definitions
WHERE step_plan IS NULL AND deleted_at IS NULL;

-- name: set_plan
-- $1 id, $2 steps as text, $3 step_plan as text
UPDATE pulse_workflow_definitions
SET steps = $2::text::jsonb, step_plan = $3::text::jsonb
WHERE id = $1;
