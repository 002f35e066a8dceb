-- What lists of definitions show beside the definitions.

-- name: activity
-- How many runs of each definition have completed and failed, counted up to a bound and one more,
-- and its newest runs of any status.
-- tenant_id: NULL for any; since: inclusive, NULL for any; statuses: each once; newest: how many.
SELECT
    d.id AS definition_id, done.runs AS completed, broken.runs AS failed, newest.runs AS newest
FROM pulse_workflow_definitions AS d
CROSS JOIN LATERAL (
    SELECT count(*) AS runs FROM (
        SELECT 1 FROM pulse_workflow_runs AS r
        WHERE r.tenant_id = d.tenant_id AND r.definition_id = d.id AND r.status = 'completed'
            AND r.created_at >= coalesce(:since::timestamptz, '-infinity')
        LIMIT :bound::int + 1
    ) AS found
) AS done
CROSS JOIN LATERAL (
    SELECT count(*) AS runs FROM (
        SELECT 1 FROM pulse_workflow_runs AS r
        WHERE r.tenant_id = d.tenant_id AND r.definition_id = d.id AND r.status = 'failed'
            AND r.created_at >= coalesce(:since::timestamptz, '-infinity')
        LIMIT :bound::int + 1
    ) AS found
) AS broken
CROSS JOIN LATERAL (
    SELECT jsonb_agg(
        jsonb_build_object('id', n.id, 'status', n.status, 'created_at', n.created_at)
        ORDER BY n.created_at DESC, n.id DESC
    )::text AS runs
    FROM (
        SELECT r.id, r.status, r.created_at FROM unnest(:statuses::text[]) AS wanted (status)
        CROSS JOIN LATERAL (
            SELECT r.id, r.status, r.created_at FROM pulse_workflow_runs AS r
            WHERE r.tenant_id = d.tenant_id AND r.definition_id = d.id
                AND r.status = wanted.status
            ORDER BY r.created_at DESC, r.id DESC
            LIMIT :newest::int
        ) AS r
        ORDER BY r.created_at DESC, r.id DESC
        LIMIT :newest::int
    ) AS n
) AS newest
WHERE d.id = ANY(:definition_ids::text[])
    AND (:tenant_id::text IS NULL OR d.tenant_id = :tenant_id);
