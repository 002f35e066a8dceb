-- name: tenants_of_set
-- The tenants that have definitions of a set.
-- tenant_id: NULL for any.
SELECT DISTINCT tenant_id FROM pulse_workflow_definitions
WHERE managed_by = :set_name AND (:tenant_id::text IS NULL OR tenant_id = :tenant_id)
    AND deleted_at IS NULL
ORDER BY tenant_id;

-- name: read
-- A tenant's definitions of a set, and those of some keys whatever their set.
-- content_version: the newest that changed more than whether it is enabled.
SELECT
    {{definition_columns}}, managed_by, applied_version,
    {{last_change}}
FROM pulse_workflow_definitions
WHERE tenant_id = :tenant_id AND (managed_by = :set_name OR key = ANY (:keys::text[]))
    AND deleted_at IS NULL
ORDER BY id;

-- name: lock
-- The same, which nobody else changes until the transaction ends.
SELECT
    {{definition_columns}}, managed_by, applied_version,
    {{last_change}}
FROM pulse_workflow_definitions
WHERE tenant_id = :tenant_id AND (managed_by = :set_name OR key = ANY (:keys::text[]))
    AND deleted_at IS NULL
ORDER BY id
FOR NO KEY UPDATE;

-- name: mark
-- A locked definition is now as its set says.
UPDATE pulse_workflow_definitions
SET managed_by = :set_name, applied_version = version
WHERE id = :definition_id AND tenant_id = :tenant_id;
