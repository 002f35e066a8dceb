-- What a search box finds: by ids and keys, and by names of one tenant. Never in payloads.

-- name: by_id
-- Whatever has exactly this id.
-- tenant_id: NULL for any.
SELECT
    found.kind, found.id, found.tenant_id, 'id' AS matched_by, found.title, NULL AS detail,
    found.status, found.run_id, found.path, found.created_at
FROM (
    SELECT
        'run' AS kind, r.id, r.tenant_id, d.name AS title, r.status, NULL AS run_id, NULL AS path,
        r.created_at
    FROM pulse_workflow_runs AS r
    JOIN pulse_workflow_definitions AS d ON d.id = r.definition_id
    WHERE r.id = :id
    UNION ALL
    SELECT 'signal', t.id, t.tenant_id, t.type, NULL, NULL, NULL, t.created_at
    FROM pulse_triggers AS t WHERE t.id = :id
    UNION ALL
    SELECT 'definition', d.id, d.tenant_id, d.name, NULL, NULL, NULL, d.created_at
    FROM pulse_workflow_definitions AS d WHERE d.id = :id AND d.deleted_at IS NULL
    UNION ALL
    SELECT
        'step', s.id, s.tenant_id, s.step_name, s.status, s.run_id,
        coalesce(s.path, s.step_index::text), s.created_at
    FROM pulse_workflow_step_runs AS s WHERE s.id = :id
) AS found
WHERE :tenant_id::text IS NULL OR found.tenant_id = :tenant_id;

-- name: by_prefix
-- Runs, signals and definitions whose ids begin so, newest first, among so many of the newest.
-- The bounds hold in every collation, as ids are made of small letters, digits and one underline;
-- what else lies between them is thrown away.
-- tenant_id: NULL for any; walk: ids that are looked at.
SELECT
    found.kind, found.id, found.tenant_id, 'id_prefix' AS matched_by, found.title,
    NULL AS detail, found.status, NULL AS run_id, NULL AS path, found.created_at
FROM (
    (
        SELECT 'run' AS kind, r.id, r.tenant_id, d.name AS title, r.status, r.created_at
        FROM (
            SELECT n.id FROM pulse_workflow_runs AS n
            WHERE n.id >= :prefix AND n.id <= :prefix || repeat('z', 40)
            ORDER BY n.id DESC LIMIT :walk::int
        ) AS walked
        JOIN pulse_workflow_runs AS r ON r.id = walked.id
        JOIN pulse_workflow_definitions AS d ON d.id = r.definition_id
        WHERE starts_with(r.id, :prefix)
            AND (:tenant_id::text IS NULL OR r.tenant_id = :tenant_id)
        ORDER BY r.id DESC LIMIT :row_limit
    )
    UNION ALL
    (
        SELECT 'signal', t.id, t.tenant_id, t.type, NULL, t.created_at
        FROM (
            SELECT n.id FROM pulse_triggers AS n
            WHERE n.id >= :prefix AND n.id <= :prefix || repeat('z', 40)
            ORDER BY n.id DESC LIMIT :walk::int
        ) AS walked
        JOIN pulse_triggers AS t ON t.id = walked.id
        WHERE starts_with(t.id, :prefix)
            AND (:tenant_id::text IS NULL OR t.tenant_id = :tenant_id)
        ORDER BY t.id DESC LIMIT :row_limit
    )
    UNION ALL
    (
        SELECT 'definition', d.id, d.tenant_id, d.name, NULL, d.created_at
        FROM (
            SELECT n.id FROM pulse_workflow_definitions AS n
            WHERE n.id >= :prefix AND n.id <= :prefix || repeat('z', 40)
            ORDER BY n.id DESC LIMIT :walk::int
        ) AS walked
        JOIN pulse_workflow_definitions AS d ON d.id = walked.id
        WHERE starts_with(d.id, :prefix) AND d.deleted_at IS NULL
            AND (:tenant_id::text IS NULL OR d.tenant_id = :tenant_id)
        ORDER BY d.id DESC LIMIT :row_limit
    )
) AS found
ORDER BY found.created_at DESC, found.id DESC
LIMIT :row_limit;

-- name: by_key
-- The signal of a tenant with this idempotency key, and the newest about this resource.
SELECT
    'signal' AS kind, found.id, found.tenant_id, found.matched_by, found.type AS title,
    found.detail, NULL AS status, NULL AS run_id, NULL AS path, found.created_at
FROM (
    SELECT
        t.id, t.tenant_id, 'idempotency_key' AS matched_by, t.type, t.idempotency_key AS detail,
        t.created_at
    FROM pulse_triggers AS t WHERE t.tenant_id = :tenant_id AND t.idempotency_key = :text
    UNION ALL
    (
        SELECT
            t.id, t.tenant_id, 'resource_id', t.type,
            coalesce(t.resource_type || '/', '') || t.resource_id, t.created_at
        FROM pulse_triggers AS t WHERE t.resource_id = :text AND t.tenant_id = :tenant_id
        ORDER BY t.id DESC LIMIT :row_limit
    )
) AS found;

-- name: by_name
-- The definitions of a tenant whose name, or the name of a step of theirs, begins so.
-- pattern: of ILIKE; walk: definitions that are looked at, newest first.
WITH walked AS MATERIALIZED (
    SELECT d.id, d.tenant_id, d.name, d.step_plan, d.created_at
    FROM pulse_workflow_definitions AS d
    WHERE d.tenant_id = :tenant_id AND d.deleted_at IS NULL
    ORDER BY d.created_at DESC, d.id DESC LIMIT :walk::int
)
SELECT
    'definition' AS kind, found.id, found.tenant_id, found.matched_by, found.name AS title,
    found.detail, NULL AS status, NULL AS run_id, NULL AS path, found.created_at
FROM (
    SELECT w.*, 'definition_name' AS matched_by, NULL AS detail, 1 AS rank FROM walked AS w
    WHERE w.name ILIKE :pattern
    UNION ALL
    SELECT w.*, 'step_name', step.name, 2 FROM walked AS w
    CROSS JOIN LATERAL (
        SELECT p.name FROM jsonb_to_recordset(
            CASE WHEN jsonb_typeof(w.step_plan) = 'array' THEN w.step_plan ELSE '[]' END
        ) AS p (name text)
        WHERE p.name ILIKE :pattern LIMIT 1
    ) AS step
    WHERE w.name NOT ILIKE :pattern
) AS found
ORDER BY found.rank, found.created_at DESC, found.id DESC
LIMIT :row_limit;
