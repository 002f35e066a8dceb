-- What operators see of workers and tenants.

-- name: workers
-- Processes of all task queues that are on record, those that were seen last first, with the
-- attempts that they have open, among so many of the newest runs that are running.
-- silence: after which a process counts as gone; walk: runs that are looked at.
WITH at_work AS MATERIALIZED (
    SELECT r.id FROM pulse_workflow_runs AS r
    WHERE r.status = 'running'
    ORDER BY r.created_at DESC, r.id DESC LIMIT :walk::int
)
SELECT
    w.id, w.task_queue, w.actions, w.conditions, w.signals, w.dialect, w.started_at, w.seen_at,
    w.present_since, w.seen_at > now() - :silence::interval AS is_live,
    coalesce(busy.attempts, 0) AS attempts, (SELECT count(*) FROM at_work) AS looked
FROM pulse_workers AS w
LEFT JOIN (
    SELECT a.worker_id, count(*) AS attempts
    FROM at_work AS r
    JOIN pulse_step_attempts AS a ON a.run_id = r.id AND a.status = 'open'
    GROUP BY a.worker_id
) AS busy ON busy.worker_id = w.id
ORDER BY w.seen_at DESC, w.id;

-- name: tenants
-- One page of the tenants that have a signal or a definition, in the order of their ids, each found
-- by one jump along two indexes. Counts end at a bound and one more.
-- after: the last one of the page before, NULL from the first; since: of the runs that are counted.
WITH RECURSIVE named (id, number) AS (
    SELECT least(
        (
            SELECT t.tenant_id FROM pulse_triggers AS t
            WHERE :after::text IS NULL OR t.tenant_id > :after
            ORDER BY t.tenant_id LIMIT 1
        ),
        (
            SELECT d.tenant_id FROM pulse_workflow_definitions AS d
            WHERE d.deleted_at IS NULL AND (:after::text IS NULL OR d.tenant_id > :after)
            ORDER BY d.tenant_id LIMIT 1
        )
    ), 1
    UNION ALL
    SELECT least(
        (
            SELECT t.tenant_id FROM pulse_triggers AS t WHERE t.tenant_id > n.id
            ORDER BY t.tenant_id LIMIT 1
        ),
        (
            SELECT d.tenant_id FROM pulse_workflow_definitions AS d
            WHERE d.deleted_at IS NULL AND d.tenant_id > n.id
            ORDER BY d.tenant_id LIMIT 1
        )
    ), n.number + 1
    FROM named AS n
    WHERE n.id IS NOT NULL AND n.number < :row_limit::int
)
SELECT
    n.id, kept.definitions, lately.runs, lately.failed, open.runs AS open, held.retrying,
    held.blocked,
    (
        SELECT r.created_at FROM pulse_workflow_runs AS r
        WHERE r.tenant_id = n.id AND r.status = 'pending'
        ORDER BY r.created_at LIMIT 1
    ) AS oldest_pending_at
FROM named AS n
CROSS JOIN LATERAL (
    SELECT count(*) AS definitions FROM (
        SELECT 1 FROM pulse_workflow_definitions AS d
        WHERE d.tenant_id = n.id AND d.deleted_at IS NULL LIMIT :bound::int + 1
    ) AS found
) AS kept
CROSS JOIN LATERAL (
    SELECT
        (
            SELECT count(*) FROM (
                SELECT 1 FROM pulse_workflow_runs AS r
                WHERE r.tenant_id = n.id AND r.created_at >= :since LIMIT :bound::int + 1
            ) AS found
        ) AS runs,
        (
            SELECT count(*) FROM (
                SELECT 1 FROM pulse_workflow_runs AS r
                WHERE r.tenant_id = n.id AND r.status = 'failed' AND r.created_at >= :since
                LIMIT :bound::int + 1
            ) AS found
        ) AS failed
) AS lately
CROSS JOIN LATERAL (
    SELECT count(*) AS runs FROM (
        SELECT 1 FROM unnest(ARRAY['pending', 'running', 'waiting']) AS wanted (status)
        JOIN pulse_workflow_runs AS r ON r.tenant_id = n.id AND r.status = wanted.status
        LIMIT :bound::int + 1
    ) AS found
) AS open
CROSS JOIN LATERAL (
    SELECT
        count(*) FILTER (WHERE found.is_blocked) AS blocked,
        count(*) FILTER (WHERE NOT found.is_blocked) AS retrying
    FROM (
        SELECT s.run_id, bool_or(s.blocked_reason IS NOT NULL) AS is_blocked
        FROM pulse_workflow_step_runs AS s
        JOIN pulse_workflow_runs AS r ON r.id = s.run_id
        WHERE s.tenant_id = n.id AND {{is_held(s)}} AND {{is_open(r)}}
        GROUP BY s.run_id
        LIMIT :bound::int + 1
    ) AS found
) AS held
WHERE n.id IS NOT NULL
ORDER BY n.id;
