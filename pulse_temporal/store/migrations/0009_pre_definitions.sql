-- Definitions have a name of their own for the application that stores them at its start, and
-- their past is on record: a cron tick that comes late is judged by what held at its time.

ALTER TABLE pulse_workflow_definitions
    -- What the application calls it; unique per tenant.
    ADD COLUMN key text,
    -- The set of definitions that it is kept with, for tools that apply such sets.
    ADD COLUMN managed_by text,
    -- Why Temporal refuses its schedule; NULL: it does not, or was not asked since the last change.
    ADD COLUMN schedule_error text;
CREATE UNIQUE INDEX pulse_workflow_definitions_key
    ON pulse_workflow_definitions (tenant_id, key) WHERE key IS NOT NULL AND deleted_at IS NULL;

-- One row a version, written with the change.
CREATE TABLE pulse_definition_versions (
    definition_id text NOT NULL REFERENCES pulse_workflow_definitions (id) ON DELETE CASCADE,
    version integer NOT NULL,
    tenant_id text NOT NULL,
    -- content, enabled, disabled, deleted
    kind text NOT NULL,
    -- What its author sent; NULL where only the kind has changed.
    content jsonb,
    valid_from timestamptz NOT NULL,
    -- Who made it and why, where that is known.
    actor text,
    note text,
    PRIMARY KEY (definition_id, version)
);
INSERT INTO pulse_definition_versions (definition_id, version, tenant_id, kind, content, valid_from)
SELECT
    id, version, tenant_id, 'content',
    jsonb_strip_nulls(jsonb_build_object(
        'name', name, 'description', description, 'triggerType', trigger_type,
        'environmentFilter', environment_filter, 'resourceTypeFilter', resource_type_filter,
        'isEnabled', is_enabled, 'cronExpression', cron_expression, 'timezone', timezone
    )) || jsonb_build_object('steps', steps, 'config', config),
    updated_at
FROM pulse_workflow_definitions
WHERE deleted_at IS NULL;

-- Types of signals that live processes have registered, beside the handlers that they know.
ALTER TABLE pulse_workers ADD COLUMN signals text[] NOT NULL DEFAULT '{}';
