-- name: get_run
-- One run; its context is computed from the results recorded so far.
-- tenant_id: NULL for any.
SELECT
    {{run_columns(r)}},
    (r.context || {{results}})::text AS context
FROM pulse_workflow_runs AS r
WHERE r.id = :run_id AND (:tenant_id::text IS NULL OR r.tenant_id = :tenant_id);

-- name: get_run_as_kept
-- One run; its context is that of the last join, wait or end, so that the results of its steps are
-- not read.
SELECT
    {{run_columns(r)}}, r.context::text AS context
FROM pulse_workflow_runs AS r
WHERE r.id = :run_id AND r.tenant_id = :tenant_id;

-- name: get_snapshot
-- The definition that a run has frozen.
-- tenant_id: NULL for any.
SELECT r.definition_snapshot::text AS definition_snapshot
FROM pulse_workflow_runs AS r
WHERE r.id = :run_id AND (:tenant_id::text IS NULL OR r.tenant_id = :tenant_id);

-- name: stored_statuses
-- Which statuses runs have: one jump along the index for each, and no run is read. A newer release
-- may have written what this one does not know.
WITH RECURSIVE stored (status) AS (
    (SELECT r.status FROM pulse_workflow_runs AS r ORDER BY r.status LIMIT 1)
    UNION ALL
    SELECT next.status FROM stored AS s
    CROSS JOIN LATERAL (
        SELECT r.status FROM pulse_workflow_runs AS r WHERE r.status > s.status
        ORDER BY r.status LIMIT 1
    ) AS next
)
SELECT status FROM stored;

-- name: list_tenant
-- One page of a tenant's runs, newest first; ``read_runs`` reads them. Each kind of list has a
-- statement of its own, so that its plan fits, also one made before the parameters are known.
-- since: inclusive, NULL from the first; before_at, before_id: created_at and id that the page ends
-- before, NULL and '' from the newest.
SELECT r.id, r.created_at FROM pulse_workflow_runs AS r
WHERE r.tenant_id = :tenant_id
    AND r.created_at >= coalesce(:since::timestamptz, '-infinity')
    AND (r.created_at, r.id) < (coalesce(:before_at::timestamptz, 'infinity'), :before_id)
ORDER BY r.created_at DESC, r.id DESC
LIMIT :row_limit;

-- name: list_tenant_status
-- The same of some statuses: the newest of each, merged.
-- statuses: each once; the others as of list_tenant.
SELECT newest.id, newest.created_at FROM unnest(:statuses::text[]) AS wanted (status)
CROSS JOIN LATERAL (
    SELECT n.id, n.created_at FROM pulse_workflow_runs AS n
    WHERE n.tenant_id = :tenant_id AND n.status = wanted.status
        AND n.created_at >= coalesce(:since::timestamptz, '-infinity')
        AND (n.created_at, n.id) < (coalesce(:before_at::timestamptz, 'infinity'), :before_id)
    ORDER BY n.created_at DESC, n.id DESC
    LIMIT :row_limit
) AS newest
ORDER BY newest.created_at DESC, newest.id DESC
LIMIT :row_limit;

-- name: list_definition
-- The same of one definition; without a tenant, of the definition's.
-- tenant_id: NULL for any; the others as of list_tenant_status.
SELECT newest.id, newest.created_at FROM unnest(:statuses::text[]) AS wanted (status)
CROSS JOIN LATERAL (
    SELECT n.id, n.created_at FROM pulse_workflow_runs AS n
    WHERE n.definition_id = :definition_id AND n.status = wanted.status
        AND n.tenant_id = coalesce(:tenant_id, (
            SELECT d.tenant_id FROM pulse_workflow_definitions AS d WHERE d.id = :definition_id
        ))
        AND n.created_at >= coalesce(:since::timestamptz, '-infinity')
        AND (n.created_at, n.id) < (coalesce(:before_at::timestamptz, 'infinity'), :before_id)
    ORDER BY n.created_at DESC, n.id DESC
    LIMIT :row_limit
) AS newest
ORDER BY newest.created_at DESC, newest.id DESC
LIMIT :row_limit;

-- name: list_status
-- The same of all tenants, for operators.
-- Parameters as of list_tenant_status.
SELECT newest.id, newest.created_at FROM unnest(:statuses::text[]) AS wanted (status)
CROSS JOIN LATERAL (
    SELECT n.id, n.created_at FROM pulse_workflow_runs AS n
    WHERE n.status = wanted.status
        AND n.created_at >= coalesce(:since::timestamptz, '-infinity')
        AND (n.created_at, n.id) < (coalesce(:before_at::timestamptz, 'infinity'), :before_id)
    ORDER BY n.created_at DESC, n.id DESC
    LIMIT :row_limit
) AS newest
ORDER BY newest.created_at DESC, newest.id DESC
LIMIT :row_limit;

-- name: list_signal
-- The same of one signal, or of all signals about one resource: all their runs are read and
-- sorted. A walk along the signals, newest first, could not stop early, as a replay makes a new run
-- of an old signal. docs/operate/postgres.md says what that costs, and what to do about it.
-- tenant_id, trigger_id, definition_id: NULL for any; resource_id: NULL for any when trigger_id is
-- given; the others as of list_tenant_status.
SELECT n.id, n.created_at FROM (
    SELECT t.id FROM pulse_triggers AS t WHERE t.resource_id = :resource_id
        AND t.tenant_id = :tenant_id
    UNION ALL
    SELECT t.id FROM pulse_triggers AS t WHERE t.resource_id = :resource_id
        AND :tenant_id::text IS NULL
    UNION ALL
    SELECT :trigger_id::text WHERE :resource_id::text IS NULL
) AS signal
JOIN pulse_workflow_runs AS n ON n.trigger_id = signal.id
WHERE n.status = ANY (:statuses::text[])
    AND n.created_at >= coalesce(:since::timestamptz, '-infinity')
    AND (n.created_at, n.id) < (coalesce(:before_at::timestamptz, 'infinity'), :before_id)
    AND (:tenant_id::text IS NULL OR n.tenant_id = :tenant_id)
    AND (:trigger_id::text IS NULL OR n.trigger_id = :trigger_id)
    AND (:definition_id::text IS NULL OR n.definition_id = :definition_id)
ORDER BY n.created_at DESC, n.id DESC
LIMIT :row_limit;

-- name: read_runs
-- Runs by their ids, in this order, as far as their definitions and contexts have room together;
-- the first one always has. A context is as of the last join, wait or end. What Postgres has
-- compressed is first counted as eight times its size there, so that no page is unpacked that is
-- then thrown away, and measured when it is unpacked.
-- room: bytes.
WITH stored AS (
    SELECT
        r.*, row_number() OVER (ORDER BY wanted.position) AS number,
        sum(
            pg_column_size(r.definition_snapshot)
                * CASE WHEN pg_column_compression(r.definition_snapshot) IS NULL THEN 1 ELSE 8 END
            + pg_column_size(r.context)
                * CASE WHEN pg_column_compression(r.context) IS NULL THEN 1 ELSE 8 END
        ) OVER (ORDER BY wanted.position) AS bytes
    FROM unnest(:run_ids::text[]) WITH ORDINALITY AS wanted (id, position)
    JOIN pulse_workflow_runs AS r ON r.id = wanted.id
), unpacked AS MATERIALIZED (
    SELECT
        {{run_columns(s)}}, s.context::text AS context, s.number
    FROM stored AS s
    WHERE s.number = 1 OR s.bytes <= :room
), measured AS (
    SELECT
        u.*,
        sum(octet_length(definition_snapshot) + octet_length(context)) OVER (ORDER BY number)
            AS bytes
    FROM unpacked AS u
)
SELECT
    id, definition_id, tenant_id, trigger_id, status, current_step_index, is_replay, is_dry_run,
    definition_snapshot, generation, error_message, started_at, completed_at, failed_at,
    canceled_at, cancel_reason, created_at, updated_at, context
FROM measured
WHERE number = 1 OR bytes <= :room
ORDER BY number;

-- name: statuses
-- An id that is missing from the answer is not (yet) known.
SELECT id, tenant_id, status FROM pulse_workflow_runs WHERE id = ANY (:run_ids::text[]);

-- name: for_start
-- What a start command needs to start its workflow.
SELECT r.id, r.tenant_id, r.trigger_id, r.definition_id, r.status, c.generation,
    r.is_replay, r.is_dry_run, r.definition_snapshot::text AS definition_snapshot
FROM pulse_workflow_runs AS r
JOIN pulse_run_control AS c ON c.run_id = r.id
WHERE r.id = :run_id AND r.tenant_id = :tenant_id;

-- name: needed
-- The dialect that a run needs.
SELECT dialect FROM pulse_workflow_runs WHERE id = :run_id AND tenant_id = :tenant_id;

-- name: finish
-- End a run as completed or failed. No row: it is canceled, ended already or superseded.
WITH control AS (
    -- FOR SHARE: a run that a cancel has closed does not end a second time.
    SELECT c.run_id, c.generation FROM pulse_run_control AS c
    WHERE {{control_is_open}}
    FOR SHARE
), ending AS (
    -- Only the execution that writes for the run ends it.
    SELECT
        c.run_id, :status::text AS status, now() AS at, :error_message::text AS reason,
        NULL::timestamptz AS began_at, '{}'::jsonb AS result,
        -- The condition that passed over the rest of the run, to its last step.
        jsonb_strip_nulls(jsonb_build_object('endedBy', CASE WHEN :status = 'completed' THEN (
            SELECT s.skipped_by FROM pulse_workflow_step_runs AS s
            WHERE s.run_id = :run_id AND s.parent_step_run_id IS NULL
            ORDER BY s.step_index DESC LIMIT 1
        ) END)) AS detail
    FROM control AS c
    JOIN pulse_run_lineages AS l
        ON l.run_id = :run_id AND l.generation = c.generation AND l.branch = ''
        AND l.temporal_run_id = :temporal_run_id
), {{run_end}}
SELECT id FROM ended;

-- name: fail_unstarted
-- Fail a run whose workflow can never start. No row: it has begun, ended or been retried. A later
-- generation that cannot start leaves results of the ones before.
WITH control AS (
    -- FOR SHARE: a run that a cancel has closed, or a retry has taken on, does not fail.
    SELECT c.run_id FROM pulse_run_control AS c
    WHERE {{control_is_open}}
    FOR SHARE
), ending AS (
    -- Not one that has begun: its workflow has started after all, and ends it.
    SELECT
        control.run_id, 'failed' AS status, now() AS at, :error_message::text AS reason,
        NULL::timestamptz AS began_at, '{}'::jsonb AS result, '{}'::jsonb AS detail
    FROM control
    WHERE NOT EXISTS (
        SELECT 1 FROM pulse_run_lineages AS l
        WHERE l.run_id = :run_id AND l.generation = :generation AND l.branch = ''
    )
), {{run_end}}
SELECT id FROM ended;

-- name: cancel
-- End a run and its steps as canceled: what runs fails, what waits or has not begun is skipped.
-- The control and run row are locked.
-- by: the person who cancels, or NULL.
WITH before AS (
    -- Locked in document order, as everywhere: two that lock steps in other orders would wait for
    -- each other for ever.
    SELECT id, status, step_type FROM pulse_workflow_step_runs
    WHERE run_id = :run_id AND tenant_id = :tenant_id
        AND status IN ('pending', 'scheduled', 'running')
    ORDER BY path_numbers
    FOR NO KEY UPDATE
), step AS (
    -- What was at work has failed, what had not begun is passed over.
    UPDATE pulse_workflow_step_runs AS s
    SET
        status = CASE WHEN b.status = 'running' THEN 'failed' ELSE 'skipped' END,
        error_message = CASE WHEN b.status = 'running' THEN 'canceled' ELSE s.error_message END,
        skipped_by = CASE WHEN b.status = 'running' THEN NULL ELSE 'canceled' END,
        completed_at = now(), next_attempt_at = NULL, retrying_since = NULL, blocked_reason = NULL
    FROM before AS b
    WHERE s.id = b.id
    RETURNING s.id, s.path, s.path_numbers, s.status
), attempt AS (
    -- A worker that is still at it has lost the step: it records nothing.
    UPDATE pulse_step_attempts AS a
    SET status = 'canceled', ended_at = now(), error_message = 'canceled'
    FROM step
    WHERE a.step_run_id = step.id AND a.status = 'open'
), event AS (
    -- In document order.
    INSERT INTO pulse_run_events ({{step_event}})
    SELECT :run_id, :tenant_id, :generation, 'step_' || status, path, now(),
        CASE WHEN status = 'failed' THEN '{"error": "canceled", "final": true}'::jsonb
            ELSE '{"skippedBy": "canceled"}'::jsonb END
    FROM step ORDER BY path_numbers
    RETURNING 1
), ending AS (
    -- Behind the steps, so that the timeline ends with the run.
    SELECT
        :run_id::text AS run_id, 'canceled' AS status, now() AS at, :reason::text AS reason,
        NULL::timestamptz AS began_at, '{}'::jsonb AS result,
        jsonb_strip_nulls(jsonb_build_object('by', :by::text)) AS detail
    FROM (SELECT count(*) FROM event) AS steps_first
), {{run_end}}
SELECT path FROM step ORDER BY path_numbers;

-- name: fail
-- Fail a run whose workflow has ended without saying so; its control and run row are locked.
WITH ending AS (
    SELECT
        :run_id::text AS run_id, 'failed' AS status, now() AS at, :error_message::text AS reason,
        now() AS began_at, '{}'::jsonb AS result, '{"source": "reconciler"}'::jsonb AS detail
), {{run_end}}
SELECT id FROM ended;

-- name: reopen
UPDATE pulse_workflow_runs
SET status = 'running', generation = :generation, started_at = coalesce(started_at, now()),
    failed_at = NULL, error_message = NULL, updated_at = now()
WHERE id = :run_id AND tenant_id = :tenant_id
    AND status IN ('pending', 'running', 'waiting', 'failed');

-- name: reach
-- Note which step of the root list is active, unless it has ended; the run row is locked.
UPDATE pulse_workflow_runs SET current_step_index = :index, updated_at = now()
WHERE id = :run_id AND tenant_id = :tenant_id AND current_step_index <> :index AND EXISTS (
    SELECT 1 FROM pulse_workflow_step_runs AS s
    WHERE s.run_id = :run_id AND s.path = :index::int::text
        AND s.status NOT IN ('completed', 'failed', 'skipped')
);

-- name: lock_run
SELECT status, generation FROM pulse_workflow_runs WHERE id = :run_id AND tenant_id = :tenant_id
FOR NO KEY UPDATE;

-- name: refresh_waiting
-- Say whether the run waits: every list of steps that is still open stands at a started delay.
-- The run row must be locked by an earlier statement. A list is open up to its first step that
-- has not ended; a failed step closes its list. Each step is looked at once: the lists are compared
-- by a hash of their parents, never step with step.
WITH first AS (
    -- The first step of each list that has not ended.
    SELECT DISTINCT ON (s.parent_step_run_id, s.branch_index)
        s.id, s.step_type, s.status, s.parent_step_run_id
    FROM pulse_workflow_step_runs AS s
    WHERE s.run_id = :run_id AND s.status NOT IN ('completed', 'skipped')
    ORDER BY s.parent_step_run_id, s.branch_index, s.step_index
), front AS MATERIALIZED (
    -- Lists in which nothing has failed. MATERIALIZED: it is read twice and made once.
    SELECT * FROM first WHERE status <> 'failed'
), live AS (
    -- Those of them that are being worked through: a list below a step whose turn has not come
    -- would keep the run from waiting.
    SELECT f.step_type, f.status FROM front AS f
    WHERE f.parent_step_run_id IS NULL OR f.parent_step_run_id IN (
        SELECT p.id FROM front AS p WHERE p.status = 'running'
    )
), verdict AS (
    -- It waits when there is a delay and nothing else goes on; parallel steps go on only as far as
    -- their lists do.
    SELECT CASE
        WHEN bool_or(step_type = 'delay')
            AND bool_and(
                (step_type = 'delay' AND status = 'scheduled')
                OR (step_type = 'parallel' AND status = 'running')
            ) THEN 'waiting'
        ELSE 'running'
    END AS status
    FROM live
), recorded AS (
    -- How many results there are, which is known without reading them.
    SELECT count(*)::int AS results FROM pulse_workflow_step_runs AS s
    WHERE s.run_id = :run_id AND {{joins_context(s)}}
)
UPDATE pulse_workflow_runs AS r
SET
    status = v.status, updated_at = now(),
    context_results = CASE WHEN v.status = 'waiting' THEN n.results ELSE r.context_results END,
    -- A recorded result never changes: as many as at the last wait are the same ones.
    context = CASE
        WHEN v.status = 'running' OR n.results = r.context_results THEN r.context
        ELSE r.context || {{results}}
    END
FROM verdict AS v
CROSS JOIN recorded AS n
WHERE r.id = :run_id AND r.tenant_id = :tenant_id AND r.status IN ('running', 'waiting')
    AND r.status <> v.status;
