-- Which runs are on a page of a list that runs.sql has no statement for, and how many there are.

-- name: list_held
-- also: list_held_of_all
-- One page of a tenant's open runs with a step that is tried again, or that cannot start, newest
-- first. A run with both is listed as one that cannot go on.
-- is_blocked: which of the two; the rest is said with the fragments within_page and narrowed.
SELECT r.id, r.created_at FROM (
    SELECT s.run_id, bool_or(s.blocked_reason IS NOT NULL) AS is_blocked
    FROM pulse_workflow_step_runs AS s
    WHERE {{is_held(s)}}
        AND s.tenant_id = :tenant_id  -- not list_held_of_all
    GROUP BY s.run_id
) AS held
JOIN pulse_workflow_runs AS r ON r.id = held.run_id
WHERE held.is_blocked = :is_blocked::bool AND {{is_open(r)}}
    AND {{within_page(r)}}
    AND {{narrowed(r)}}
ORDER BY r.created_at DESC, r.id DESC
LIMIT :row_limit;

-- name: list_late
-- also: list_late_of_all
-- The same of runs that no worker has taken for long.
-- late_after: how long a run may be pending.
SELECT r.id, r.created_at FROM pulse_workflow_runs AS r
WHERE {{is_late(r)}}
    AND r.tenant_id = :tenant_id  -- not list_late_of_all
    AND {{within_page(r)}}
    AND {{narrowed(r)}}
    AND NOT EXISTS (
        SELECT 1 FROM pulse_workflow_step_runs AS s WHERE s.run_id = r.id AND {{is_held(s)}}
    )
ORDER BY r.created_at DESC, r.id DESC
LIMIT :row_limit;

-- name: list_signal_type
-- The same of the runs that signals of one type have started. The type is the signal's, so runs are
-- looked at, newest first, until the page is full, but only so many.
-- walk: how many are looked at.
SELECT r.id, r.created_at FROM (
    SELECT n.id, n.created_at, n.trigger_id FROM pulse_workflow_runs AS n
    WHERE n.tenant_id = :tenant_id AND {{within_page(n)}}
    ORDER BY n.created_at DESC, n.id DESC
    LIMIT :walk::int
) AS walked
JOIN pulse_workflow_runs AS r ON r.id = walked.id
WHERE {{narrowed(r)}}
ORDER BY r.created_at DESC, r.id DESC
LIMIT :row_limit;

-- name: walk_end
-- Where list_signal_type has stopped to look; no row: it has looked at all runs.
SELECT n.id, n.created_at FROM pulse_workflow_runs AS n
WHERE n.tenant_id = :tenant_id AND {{within_page(n)}}
ORDER BY n.created_at DESC, n.id DESC
OFFSET :walk::int - 1 LIMIT 1;

-- name: count_tenant
-- also: count_definition
-- also: count_all
-- How many runs there are of each status, counted up to a bound and one more.
-- statuses: each once; since: inclusive, before: exclusive, NULL for any.
SELECT wanted.status, counted.runs FROM unnest(:statuses::text[]) AS wanted (status)
CROSS JOIN LATERAL (
    SELECT count(*) AS runs FROM (
        SELECT 1 FROM pulse_workflow_runs AS r
        WHERE r.status = wanted.status
            AND r.tenant_id = :tenant_id  -- only count_tenant
            AND r.definition_id = :definition_id  -- only count_definition
            AND r.tenant_id = coalesce(:tenant_id, (  -- only count_definition
                SELECT d.tenant_id FROM pulse_workflow_definitions AS d  -- only count_definition
                WHERE d.id = :definition_id  -- only count_definition
            ))  -- only count_definition
            AND r.created_at >= coalesce(:since::timestamptz, '-infinity')
            AND r.created_at < coalesce(:before::timestamptz, 'infinity')
        LIMIT :bound::int + 1
    ) AS found
) AS counted;

-- name: count_signal
-- The same of one signal, or of all signals about one resource, whose runs are all read.
-- tenant_id: NULL for any; resource_id: NULL for any when trigger_id is given.
SELECT r.status, count(*) AS runs FROM (
    SELECT t.id FROM pulse_triggers AS t
    WHERE t.resource_id = :resource_id AND t.tenant_id = :tenant_id
    UNION ALL
    SELECT t.id FROM pulse_triggers AS t
    WHERE t.resource_id = :resource_id AND :tenant_id::text IS NULL
    UNION ALL
    SELECT :trigger_id::text WHERE :resource_id::text IS NULL
) AS signal
JOIN pulse_workflow_runs AS r ON r.trigger_id = signal.id
WHERE (:tenant_id::text IS NULL OR r.tenant_id = :tenant_id)
    AND r.created_at >= coalesce(:since::timestamptz, '-infinity')
    AND r.created_at < coalesce(:before::timestamptz, 'infinity')
    AND {{narrowed(r)}}
GROUP BY r.status;

-- name: count_signal_type
-- The same of one type of signal, among the newest runs; looked: at how many.
SELECT r.status, count(*) FILTER (WHERE {{narrowed(r)}}) AS runs, count(*) AS looked FROM (
    SELECT n.id FROM pulse_workflow_runs AS n
    WHERE n.tenant_id = :tenant_id
        AND n.created_at >= coalesce(:since::timestamptz, '-infinity')
        AND n.created_at < coalesce(:before::timestamptz, 'infinity')
    ORDER BY n.created_at DESC, n.id DESC
    LIMIT :walk::int
) AS walked
JOIN pulse_workflow_runs AS r ON r.id = walked.id
GROUP BY r.status;

-- name: count_attention
-- also: count_attention_of_all
-- How many open runs somebody may want to look at, and why; each up to a bound and one more.
WITH held AS MATERIALIZED (
    SELECT found.run_id, bool_or(found.is_blocked) AS is_blocked, count(*) AS steps FROM (
        SELECT s.run_id, s.blocked_reason IS NOT NULL AS is_blocked
        FROM pulse_workflow_step_runs AS s
        JOIN pulse_workflow_runs AS r ON r.id = s.run_id
        WHERE {{is_held(s)}}
            AND s.tenant_id = :tenant_id  -- not count_attention_of_all
            AND {{is_open(r)}}
            AND r.created_at >= coalesce(:since::timestamptz, '-infinity')
            AND r.created_at < coalesce(:before::timestamptz, 'infinity')
            AND {{narrowed(r)}}
        LIMIT :bound::int + 1
    ) AS found
    GROUP BY found.run_id
)
SELECT
    (SELECT count(*) FROM held WHERE is_blocked) AS blocked,
    (SELECT count(*) FROM held WHERE NOT is_blocked) AS retrying,
    (SELECT coalesce(sum(steps), 0)::bigint FROM held) AS looked,
    (
        SELECT count(*) FROM (
            SELECT 1 FROM pulse_workflow_runs AS r
            WHERE {{is_late(r)}}
                AND r.tenant_id = :tenant_id  -- not count_attention_of_all
                AND r.created_at >= coalesce(:since::timestamptz, '-infinity')
                AND r.created_at < coalesce(:before::timestamptz, 'infinity')
                AND {{narrowed(r)}}
                AND NOT EXISTS (
                    SELECT 1 FROM pulse_workflow_step_runs AS s
                    WHERE s.run_id = r.id AND {{is_held(s)}}
                )
            LIMIT :bound::int + 1
        ) AS found
    ) AS late;

-- name: failures
-- also: failures_of_definition
-- also: failures_of_all
-- The newest failed runs of a tenant, grouped by definition, failed step and error, in which numbers
-- and hexadecimal ids stand as #; newest group first.
-- since: inclusive, NULL for any; walk: runs that are looked at.
WITH newest AS (
    SELECT
        r.id, r.tenant_id, r.definition_id, r.failed_at,
        left(r.error_message, 500) AS error_message
    FROM pulse_workflow_runs AS r
    WHERE r.status = 'failed'
        AND r.tenant_id = :tenant_id  -- only failures
        AND r.definition_id = :definition_id  -- only failures_of_definition
        AND r.tenant_id = coalesce(:tenant_id, (  -- only failures_of_definition
            SELECT d.tenant_id FROM pulse_workflow_definitions AS d  -- only failures_of_definition
            WHERE d.id = :definition_id  -- only failures_of_definition
        ))  -- only failures_of_definition
        AND r.created_at >= coalesce(:since::timestamptz, '-infinity')
    ORDER BY r.created_at DESC, r.id DESC
    LIMIT :walk::int
), told AS (
    SELECT n.*, f.step_name, f.path, {{error_kind(n)}} AS kind
    FROM newest AS n
    {{failed_step(n)}}
)
SELECT
    g.tenant_id, g.definition_id, d.name AS definition_name, g.step_name, g.paths[1] AS path,
    g.kind AS error, g.runs, g.first_failed_at, g.last_failed_at, g.ids[1] AS sample_run_id,
    g.errors[1] AS sample_error
FROM (
    SELECT
        tenant_id, definition_id, step_name, kind, count(*) AS runs,
        min(failed_at) AS first_failed_at, max(failed_at) AS last_failed_at,
        array_agg(id ORDER BY failed_at DESC NULLS LAST, id DESC) AS ids,
        array_agg(path ORDER BY failed_at DESC NULLS LAST, id DESC) AS paths,
        array_agg(error_message ORDER BY failed_at DESC NULLS LAST, id DESC) AS errors
    FROM told
    GROUP BY tenant_id, definition_id, step_name, kind
) AS g
JOIN pulse_workflow_definitions AS d ON d.id = g.definition_id
ORDER BY g.last_failed_at DESC NULLS LAST, g.ids[1] DESC;
