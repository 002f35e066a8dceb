-- name: insert_definition
-- No row: the tenant has a definition of this key.
-- steps, config, step_plan: JSON texts.
INSERT INTO pulse_workflow_definitions (
    id, tenant_id, name, description, trigger_type, environment_filter, resource_type_filter,
    steps, config, is_enabled, cron_expression, timezone, key, step_plan
)
VALUES (
    :definition_id, :tenant_id, :name, :description, :trigger_type, :environment_filter,
    :resource_type_filter, :steps::text::jsonb, :config::text::jsonb, :is_enabled,
    :cron_expression, :timezone, :key,
    :step_plan::text::jsonb
)
ON CONFLICT (tenant_id, key) WHERE key IS NOT NULL AND deleted_at IS NULL DO NOTHING
RETURNING
    {{definition_columns}};

-- name: update_definition
-- Replace the content of a definition that is locked; no row: it is the same already. JSON is
-- compared as Postgres writes it, so that what reads the same is the same, and 1 is not 1.0.
-- The moment is read behind the lock, so that versions follow each other in time.
-- Parameters as of insert_definition.
UPDATE pulse_workflow_definitions
SET
    name = :name, description = :description, trigger_type = :trigger_type,
    environment_filter = :environment_filter,
    resource_type_filter = :resource_type_filter, steps = :steps::text::jsonb,
    config = :config::text::jsonb,
    enabled_at = CASE WHEN :is_enabled
        AND NOT is_enabled THEN clock_timestamp() ELSE enabled_at END,
    is_enabled = :is_enabled, cron_expression = :cron_expression, timezone = :timezone, key = :key,
    step_plan = :step_plan::text::jsonb, schedule_error = NULL,
    version = version + 1, updated_at = clock_timestamp()
WHERE id = :definition_id AND tenant_id = :tenant_id AND (
    name, description, trigger_type, environment_filter, resource_type_filter, steps::text,
    config::text, is_enabled, cron_expression, timezone, key
) IS DISTINCT FROM (
    :name, :description, :trigger_type, :environment_filter, :resource_type_filter,
    :steps::text::jsonb::text, :config::text::jsonb::text, :is_enabled, :cron_expression,
    :timezone, :key
)
RETURNING
    {{definition_columns}};

-- name: lock_definition
-- A definition, which nobody else changes until the transaction ends. Runs may refer to it
-- meanwhile: they need its id only.
-- tenant_id: NULL for any.
SELECT
    {{definition_columns}}
FROM pulse_workflow_definitions
WHERE id = :definition_id AND (:tenant_id::text IS NULL OR tenant_id = :tenant_id)
    AND deleted_at IS NULL
FOR NO KEY UPDATE;

-- name: lock_by_key
-- The same by key.
SELECT
    {{definition_columns}}
FROM pulse_workflow_definitions
WHERE tenant_id = :tenant_id AND key = :key AND deleted_at IS NULL
FOR NO KEY UPDATE;

-- name: get_definition
-- tenant_id: NULL for any.
SELECT
    {{definition_columns}}
FROM pulse_workflow_definitions
WHERE id = :definition_id AND (:tenant_id::text IS NULL OR tenant_id = :tenant_id)
    AND deleted_at IS NULL;

-- name: list_tenant
-- One page of a tenant's definitions, newest first, as many as there is room for and at least one.
-- looked: how many there were to choose from, the one after the page included.
-- before_at, before_id: created_at and id that the page ends before, NULL and '' from the newest;
-- trigger_type: NULL for any; is_enabled, has_cron: NULL for both; room: bytes of steps and config
-- together.
WITH wanted AS (
    SELECT
        {{definition_columns}}
    FROM pulse_workflow_definitions
    WHERE tenant_id = :tenant_id
        AND (created_at, id) < (coalesce(:before_at::timestamptz, 'infinity'), :before_id)
        AND (:trigger_type::text IS NULL OR trigger_type = :trigger_type)
        AND (:is_enabled::bool IS NULL OR is_enabled = :is_enabled)
        AND (:has_cron::bool IS NULL OR (cron_expression IS NOT NULL) = :has_cron)
        AND deleted_at IS NULL
    ORDER BY created_at DESC, id DESC
    LIMIT :row_limit
), measured AS (
    SELECT
        w.*, count(*) OVER () AS looked, row_number() OVER in_order AS number,
        sum(octet_length(w.steps) + octet_length(w.config)) OVER in_order AS bytes
    FROM wanted AS w
    WINDOW in_order AS (ORDER BY w.created_at DESC, w.id DESC)
)
SELECT * FROM measured WHERE number = 1 OR bytes <= :room ORDER BY number;

-- name: list_all
-- The same of all tenants, for operators.
-- Parameters as of list_tenant.
WITH wanted AS (
    SELECT
        {{definition_columns}}
    FROM pulse_workflow_definitions
    WHERE (created_at, id) < (coalesce(:before_at::timestamptz, 'infinity'), :before_id)
        AND (:trigger_type::text IS NULL OR trigger_type = :trigger_type)
        AND (:is_enabled::bool IS NULL OR is_enabled = :is_enabled)
        AND (:has_cron::bool IS NULL OR (cron_expression IS NOT NULL) = :has_cron)
        AND deleted_at IS NULL
    ORDER BY created_at DESC, id DESC
    LIMIT :row_limit
), measured AS (
    SELECT
        w.*, count(*) OVER () AS looked, row_number() OVER in_order AS number,
        sum(octet_length(w.steps) + octet_length(w.config)) OVER in_order AS bytes
    FROM wanted AS w
    WINDOW in_order AS (ORDER BY w.created_at DESC, w.id DESC)
)
SELECT * FROM measured WHERE number = 1 OR bytes <= :room ORDER BY number;

-- name: set_enabled
-- Enable or disable a definition that is locked and is not yet so.
UPDATE pulse_workflow_definitions
SET
    enabled_at = CASE WHEN :is_enabled THEN clock_timestamp() ELSE enabled_at END,
    is_enabled = :is_enabled,
    version = version + 1, updated_at = clock_timestamp()
WHERE id = :definition_id AND tenant_id = :tenant_id;

-- name: delete_definition
-- Hide a definition that is locked. The row stays, because runs refer to it; nothing shows or
-- matches it any more, and its key is free.
UPDATE pulse_workflow_definitions
SET
    is_enabled = false, deleted_at = clock_timestamp(), updated_at = clock_timestamp(),
    version = version + 1
WHERE id = :definition_id AND tenant_id = :tenant_id;

-- name: without_plan
-- Definitions that the TypeScript Pulse has stored; they match once they have a plan.
SELECT
    {{definition_columns}}
FROM pulse_workflow_definitions
WHERE step_plan IS NULL AND deleted_at IS NULL;

-- name: set_plan
-- steps, step_plan: JSON texts.
UPDATE pulse_workflow_definitions
SET steps = :steps::text::jsonb, step_plan = :step_plan::text::jsonb
WHERE id = :definition_id;
