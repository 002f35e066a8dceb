-- name: keep
-- Keep what a definition has become; it was changed in this transaction.
-- kind: content, enabled, disabled or deleted; actor_…: who has changed it; note: why.
INSERT INTO pulse_definition_versions (
    definition_id, version, tenant_id, kind, content, valid_from, actor, actor_name, actor_kind,
    note
)
SELECT
    d.id, d.version, d.tenant_id, :kind::text,
    CASE WHEN :kind::text = 'content' THEN {{definition_content(d)}} END,
    d.updated_at, :actor_id, :actor_name, :actor_kind, :note
FROM pulse_workflow_definitions AS d
WHERE d.id = :definition_id AND d.tenant_id = :tenant_id
RETURNING version;

-- name: list_page
-- One page of a definition's versions, newest first, without their content.
-- tenant_id: NULL for any; before_version: the version that the page ends before, NULL from the
-- newest.
SELECT
    v.definition_id, v.version, v.tenant_id, v.kind, v.valid_from, v.actor, v.actor_name,
    v.actor_kind, v.note
FROM (
    {{told_versions}}
) AS v
WHERE v.version < coalesce(:before_version::int, 2147483647)
ORDER BY v.version DESC
LIMIT :row_limit;

-- name: get_version
-- One version of a definition with all that it was then: its content is that of the newest version
-- until then that has one, and whether it was enabled the newest of all has said.
-- tenant_id: NULL for any.
WITH told AS (
    {{told_versions}}
)
SELECT
    v.definition_id, v.version, v.tenant_id, v.kind, v.valid_from, v.actor, v.actor_name,
    v.actor_kind, v.note,
    (
        SELECT CASE
            WHEN v.kind IN ('enabled', 'disabled', 'deleted') THEN
                jsonb_set(c.content, '{isEnabled}', to_jsonb(v.kind = 'enabled'))
            ELSE c.content
        END::text
        FROM told AS c
        WHERE c.version <= v.version AND c.content IS NOT NULL
        ORDER BY c.version DESC LIMIT 1
    ) AS content
FROM told AS v
WHERE v.version = :version;

-- name: is_known
-- Whether a definition has ever been stored.
-- tenant_id: NULL for any.
SELECT 1 AS found FROM pulse_workflow_definitions
WHERE id = :definition_id AND (:tenant_id::text IS NULL OR tenant_id = :tenant_id);
