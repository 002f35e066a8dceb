-- What lists and pages show of signals; none of these reads a payload.

-- name: list_tenant
-- also: list_type
-- also: list_resource
-- One page of a tenant's signals, newest first; of one type, or about one resource. What no index
-- knows is looked for among so many of the newest.
-- walk: signals that are looked at. source, resource_type, environment: NULL for any.
-- is_matched: whether they started a run, NULL for either.
SELECT
    t.id, t.tenant_id, t.source, t.type, t.resource_type, t.resource_id, t.environment,
    t.idempotency_key, t.caused_by_run_id, t.root_trigger_id AS root_signal_id, t.depth,
    t.is_replay, t.created_at, started.runs, started.replays
FROM (
    SELECT
        n.id, n.tenant_id, n.source, n.type, n.resource_type, n.resource_id, n.environment,
        n.idempotency_key, n.caused_by_run_id, n.root_trigger_id, n.depth, n.is_replay,
        n.created_at
    FROM pulse_triggers AS n
    WHERE {{within_page(n)}}
        AND n.tenant_id = :tenant_id
        AND n.type = :type  -- only list_type
        AND n.resource_id = :resource_id  -- only list_resource
    ORDER BY n.created_at DESC, n.id DESC
    LIMIT :walk::int
) AS t
CROSS JOIN LATERAL (
    SELECT
        count(*) FILTER (WHERE NOT found.is_replay) AS runs,
        count(*) FILTER (WHERE found.is_replay) AS replays
    FROM (
        SELECT r.is_replay FROM pulse_workflow_runs AS r WHERE r.trigger_id = t.id LIMIT 1000
    ) AS found
) AS started
WHERE (:type::text IS NULL OR t.type = :type)
    AND (:resource_id::text IS NULL OR t.resource_id = :resource_id)
    AND (:source::text IS NULL OR t.source = :source)
    AND (:resource_type::text IS NULL OR t.resource_type = :resource_type)
    AND (:environment::text IS NULL OR t.environment = :environment)
    AND (:is_matched::bool IS NULL OR (started.runs > 0) = :is_matched)
ORDER BY t.created_at DESC, t.id DESC
LIMIT :row_limit;

-- name: end_tenant
-- also: end_type
-- also: end_resource
-- Where such a page has stopped to look; no row: it has looked at all.
SELECT n.id, n.created_at FROM pulse_triggers AS n
WHERE {{within_page(n)}}
    AND n.tenant_id = :tenant_id
    AND n.type = :type  -- only end_type
    AND n.resource_id = :resource_id  -- only end_resource
ORDER BY n.created_at DESC, n.id DESC
OFFSET :walk::int - 1 LIMIT 1;

-- name: chain_signals
-- The first signal of the chain that a signal belongs to, and all that it has caused, in the order
-- in which they were stored; one more than the limit tells that there are more.
-- tenant_id: NULL for any.
WITH given AS (
    SELECT coalesce(t.root_trigger_id, t.id) AS root_id, t.tenant_id FROM pulse_triggers AS t
    WHERE t.id = :trigger_id AND (:tenant_id::text IS NULL OR t.tenant_id = :tenant_id)
)
SELECT
    t.id, t.source, t.type, t.resource_type, t.resource_id, t.depth, t.caused_by_run_id,
    t.created_at
FROM given AS g
CROSS JOIN LATERAL (
    SELECT f.* FROM pulse_triggers AS f WHERE f.id = g.root_id AND f.tenant_id = g.tenant_id
    UNION ALL
    SELECT c.* FROM pulse_triggers AS c
    WHERE c.tenant_id = g.tenant_id AND c.root_trigger_id = g.root_id
) AS t
ORDER BY t.depth, t.created_at, t.id
LIMIT :row_limit;

-- name: chain_runs
-- The runs that signals have started, oldest first.
SELECT
    r.id, r.trigger_id, r.definition_id, d.name AS definition_name, r.status, r.is_replay,
    r.created_at
FROM pulse_workflow_runs AS r
JOIN pulse_workflow_definitions AS d ON d.id = r.definition_id
WHERE r.trigger_id = ANY (:trigger_ids::text[])
    AND (:tenant_id::text IS NULL OR r.tenant_id = :tenant_id)
ORDER BY r.created_at, r.id
LIMIT :row_limit;
