-- In which order statements lock is said in fragments.sql.

-- name: lock_step
-- The step and its newest attempt, for the slow path of a claim. Control and run are locked.
-- alive: the worker of that attempt was seen after the deadline, so it let the deadline pass; one
-- that could not write to Postgres meanwhile may have had a result that it could not record.
-- answer: of a condition; where an older release has recorded it, only the result says it.
-- held: it says that it is at work there, though its event loop stands still; holds_loop: by this.
SELECT
    s.id, s.status, s.generation, s.claim, s.attempt, s.max_attempts, s.error_message,
    s.result::text AS result, a.claim AS open_claim,
    {{answer(s)}} AS answer,
    (
        a.deadline_at < now()
        AND (
            a.held_at > a.deadline_at
            OR (w.seen_at > a.deadline_at AND w.present_since <= a.started_at)
        )
    ) AS alive,
    a.held_at > now() - interval '5 s' AS held, a.holds_loop,
    (
        SELECT count(*) FROM pulse_step_attempts AS l
        WHERE l.step_run_id = s.id AND l.status = 'lost' AND l.generation = s.generation
    ) AS lost
FROM pulse_workflow_step_runs AS s
LEFT JOIN pulse_step_attempts AS a
    ON a.step_run_id = s.id AND a.claim = s.claim AND a.status = 'open'
LEFT JOIN pulse_workers AS w ON w.id = a.worker_id
WHERE s.run_id = :run_id AND s.tenant_id = :tenant_id AND s.path = :path
FOR NO KEY UPDATE OF s;

-- name: reopen
-- Give a step whose attempt was closed back to the next claim.
-- attempt_counts: because it passed its deadline.
UPDATE pulse_workflow_step_runs
SET status = 'scheduled', attempt = attempt - CASE WHEN :attempt_counts THEN 0 ELSE 1 END,
    retrying_since = CASE WHEN :attempt_counts THEN coalesce(retrying_since, now())
        ELSE retrying_since END
WHERE id = :step_run_id AND status = 'running';

-- name: reopen_all
-- Give what has not ended well to the generation that goes on, with a fresh budget of attempts.
-- What completed or was skipped stays as it is; a parallel step runs on, its branches start over at the
-- step that had not ended. Workers that are still at it have lost the step.
-- why: retry, reset or restart; source: who says so, NULL for the application; by: the person
-- who retries, or NULL.
WITH before AS (
    SELECT id, status FROM pulse_workflow_step_runs
    WHERE run_id = :run_id AND tenant_id = :tenant_id AND status NOT IN ('completed', 'skipped')
    ORDER BY path_numbers
    FOR NO KEY UPDATE
), step AS (
    UPDATE pulse_workflow_step_runs AS s
    SET
        status = CASE
            WHEN b.status IN ('failed', 'running') AND s.step_type = 'parallel' THEN 'running'
            ELSE 'pending'
        END,
        generation = :generation, attempt = 0, completed_at = NULL, next_attempt_at = NULL,
        retrying_since = NULL, blocked_reason = NULL, blocked_since = NULL
    FROM before AS b
    WHERE s.id = b.id
    RETURNING s.id, s.path, s.path_numbers, b.status AS status_before
), attempt AS (
    UPDATE pulse_step_attempts AS a
    SET status = 'lost', ended_at = now(), error_message = 'the run went on without it'
    FROM step
    WHERE a.step_run_id = step.id AND a.status = 'open'
)
INSERT INTO pulse_run_events ({{step_event}})
SELECT :run_id, :tenant_id, :generation, 'step_scheduled', path, now(),
    jsonb_strip_nulls(jsonb_build_object(
        'reason', :why::text, 'generation', :generation::int,
        'source', :source::text, 'by', :by::text
    ))
FROM step WHERE status_before IN ('failed', 'running', 'scheduled') ORDER BY path_numbers;

-- name: give_up
-- Fail a step outside of an attempt: lost workers, a handler that never came.
WITH step AS (
    UPDATE pulse_workflow_step_runs
    SET status = 'failed', error_message = :error_message, completed_at = now(),
        next_attempt_at = NULL, retrying_since = NULL, blocked_reason = NULL
    WHERE id = :step_run_id AND status IN ('pending', 'scheduled', 'running')
    RETURNING run_id, tenant_id, generation, path
)
INSERT INTO pulse_run_events ({{step_event}})
SELECT run_id, tenant_id, generation, 'step_failed', path, now(),
    jsonb_build_object('error', :error_message::text, 'final', true)
FROM step;

-- name: block
-- Say why a step cannot start yet; keeps the moment of the first time. Deliveries come again every
-- ten seconds: what is on record already is read, not written again.
WITH step AS (
    SELECT id, blocked_reason, coalesce(blocked_since, now()) AS since
    FROM pulse_workflow_step_runs
    WHERE run_id = :run_id AND tenant_id = :tenant_id AND path = :path AND generation = :generation
        AND status IN ('pending', 'scheduled')
    FOR NO KEY UPDATE
), written AS (
    UPDATE pulse_workflow_step_runs AS s
    SET blocked_reason = :reason, blocked_since = step.since
    FROM step
    WHERE s.id = step.id AND step.blocked_reason IS DISTINCT FROM :reason
)
SELECT id, now() - since AS blocked_for, blocked_reason IS NULL AS is_new FROM step;

-- name: outcome
-- How a step stands; retry_in_ms is NULL when no further attempt follows, answer is as in
-- lock_step.
SELECT s.id, s.status, s.generation, s.attempt, s.max_attempts, s.error_message,
    s.result::text AS result,
    {{answer(s)}} AS answer,
    CASE WHEN s.status = 'scheduled' THEN
        greatest(0, ceil(extract(epoch FROM s.next_attempt_at - now()) * 1000))::bigint
    END AS retry_in_ms
FROM pulse_workflow_step_runs AS s
WHERE s.run_id = :run_id AND s.tenant_id = :tenant_id AND s.path = :path;

-- name: skip
-- Pass over steps of one list and all below them. Each step looks its place in that list up in an
-- object of the paths: compared with every path, 10 000 steps would take minutes, under locks.
WITH passed AS MATERIALIZED (
    SELECT
        jsonb_object_agg(p.path, true) AS paths,
        max(cardinality(string_to_array(p.path, '/'))) AS segments
    FROM unnest(:paths::text[]) AS p (path)
), step AS (
    UPDATE pulse_workflow_step_runs AS s
    SET status = 'skipped', skipped_by = :skipped_by, completed_at = now()
    FROM passed AS p
    WHERE s.run_id = :run_id AND s.tenant_id = :tenant_id AND s.generation = :generation
        AND s.status = 'pending'
        AND p.paths ? array_to_string((string_to_array(s.path, '/'))[1:p.segments], '/')
    RETURNING s.run_id, s.tenant_id, s.generation, s.path, s.path_numbers
)
INSERT INTO pulse_run_events ({{step_event}})
SELECT run_id, tenant_id, generation, 'step_skipped', path, now(),
    jsonb_build_object('skippedBy', :skipped_by::text)
FROM step
ORDER BY path_numbers
RETURNING path;

-- name: start_delay
-- Begin a delay and give the moment it ends; a delay that began earlier keeps its moment.
-- now: of the workflow.
WITH step AS (
    UPDATE pulse_workflow_step_runs
    SET status = 'scheduled', started_at = :now,
        scheduled_for = coalesce(scheduled_for, :scheduled_for)
    WHERE run_id = :run_id AND tenant_id = :tenant_id AND generation = :generation AND path = :path
        AND status = 'pending'
    RETURNING run_id, tenant_id, generation, path, scheduled_for
), event AS (
    INSERT INTO pulse_run_events ({{step_event}})
    SELECT run_id, tenant_id, generation, 'step_scheduled', path, now(),
        jsonb_build_object('scheduledFor', scheduled_for)
    FROM step
)
SELECT scheduled_for FROM step
UNION ALL
SELECT scheduled_for FROM pulse_workflow_step_runs
WHERE run_id = :run_id AND tenant_id = :tenant_id AND path = :path AND status <> 'pending';

-- name: end_delay
-- now: of the workflow.
WITH step AS (
    UPDATE pulse_workflow_step_runs
    SET status = 'completed', completed_at = :now
    WHERE run_id = :run_id AND tenant_id = :tenant_id AND generation = :generation AND path = :path
        AND status = 'scheduled'
    RETURNING run_id, tenant_id, generation, path
)
INSERT INTO pulse_run_events (run_id, tenant_id, generation, kind, path, at)
SELECT run_id, tenant_id, generation, 'step_completed', path, now() FROM step;

-- name: start_parallel
WITH step AS (
    UPDATE pulse_workflow_step_runs
    SET status = 'running', started_at = coalesce(started_at, now())
    WHERE run_id = :run_id AND tenant_id = :tenant_id AND generation = :generation AND path = :path
        AND status IN ('pending', 'failed')
    RETURNING run_id, tenant_id, generation, path
)
INSERT INTO pulse_run_events (run_id, tenant_id, generation, kind, path, at)
SELECT run_id, tenant_id, generation, 'step_started', path, now() FROM step;

-- name: finish_parallel
WITH step AS (
    UPDATE pulse_workflow_step_runs
    SET status = :status, error_message = :error_message, completed_at = now()
    WHERE run_id = :run_id AND tenant_id = :tenant_id AND generation = :generation AND path = :path
        AND status = 'running'
    RETURNING run_id, tenant_id, generation, path
), event AS (
    INSERT INTO pulse_run_events ({{step_event}})
    SELECT run_id, tenant_id, generation, 'step_' || :status, path, now(),
        jsonb_strip_nulls(jsonb_build_object('error', :error_message::text))
    FROM step
), merged AS (
    -- What a join adds to the run's context is what its branches recorded.
    UPDATE pulse_workflow_runs AS r
    SET context = r.context || coalesce((
        SELECT jsonb_object_agg(s.step_name, s.result) FROM pulse_workflow_step_runs AS s
        WHERE s.run_id = :run_id AND {{joins_context(s)}} AND s.path LIKE :path || '/%'
    ), '{}'), updated_at = now()
    FROM step
    WHERE r.id = step.run_id AND r.tenant_id = :tenant_id
)
SELECT 1 FROM step;

-- name: list_steps
-- In document order.
-- tenant_id: NULL for any.
SELECT
    {{step_columns}}
FROM pulse_workflow_step_runs
WHERE run_id = :run_id AND (:tenant_id::text IS NULL OR tenant_id = :tenant_id)
ORDER BY path_numbers, created_at;

-- name: get_step
SELECT
    {{step_columns}}
FROM pulse_workflow_step_runs
WHERE run_id = :run_id AND tenant_id = :tenant_id AND path = :path;

-- name: ended_in_list
-- Where one list of steps stands: the indexes of its steps that need no work any more. A false
-- condition that has passed over nothing is asked for its answer again, which is on record: its
-- workflow may have ended in between.
-- prefix: numbers of the list's prefix, empty for the root.
SELECT s.path_numbers[cardinality(s.path_numbers)] AS index
FROM pulse_workflow_step_runs AS s
WHERE s.run_id = :run_id AND s.tenant_id = :tenant_id
    AND cardinality(s.path_numbers) = cardinality(:prefix::int[]) + 1
    AND s.path_numbers[1:cardinality(:prefix::int[])] = :prefix
    AND s.status IN ('completed', 'skipped')
    AND NOT (
        s.step_type = 'condition' AND s.status = 'completed'
        AND NOT coalesce(s.answer, s.result IS DISTINCT FROM '{"value": false}')
        AND NOT EXISTS (
            SELECT 1 FROM pulse_workflow_step_runs AS p
            WHERE p.run_id = :run_id AND p.tenant_id = :tenant_id AND p.skipped_by = s.path
        )
    )
ORDER BY 1;

-- name: ended_branches
-- The branches, of parallel steps in one list, whose steps need no work any more.
-- prefix: numbers of the list's prefix, empty for the root.
SELECT
    path_numbers[cardinality(:prefix::int[]) + 1] AS index,
    path_numbers[cardinality(:prefix::int[]) + 2] AS branch
FROM pulse_workflow_step_runs
WHERE run_id = :run_id AND tenant_id = :tenant_id
    AND cardinality(path_numbers) > cardinality(:prefix::int[]) + 2
    AND path_numbers[1:cardinality(:prefix::int[])] = :prefix
GROUP BY 1, 2
HAVING bool_and(status IN ('completed', 'skipped'))
ORDER BY 1, 2;

-- name: pass_over
-- Skip an action of a replay, handing on the result that the original run recorded for it.
-- No row: it has ended, or this execution may not go on.
WITH control AS (
    SELECT c.run_id FROM pulse_run_control AS c
    WHERE {{control_is_open}}
    FOR SHARE
), step AS (
    UPDATE pulse_workflow_step_runs AS s
    SET
        status = 'skipped', skipped_by = :skipped_by, completed_at = now(),
        (result, result_bytes) = (
            SELECT o.result, o.result_bytes FROM pulse_workflow_runs AS r
            JOIN pulse_workflow_step_runs AS o ON o.run_id = r.replay_of_run_id
            WHERE r.id = :run_id AND o.step_name = s.step_name AND {{joins_context(o)}}
            LIMIT 1
        )
    FROM control
    JOIN pulse_run_lineages AS l
        ON {{speaks(l)}}
    WHERE s.run_id = :run_id AND s.path = :path AND s.tenant_id = :tenant_id
        AND s.generation = :generation
        AND s.status IN ('pending', 'scheduled')
    RETURNING s.id, s.run_id, s.tenant_id, s.generation, s.path
)
INSERT INTO pulse_run_events ({{step_event}})
SELECT run_id, tenant_id, generation, 'step_skipped', path, now(),
    jsonb_build_object('skippedBy', :skipped_by::text)
FROM step
RETURNING seq;

-- name: close_open
-- Fail what is still at work below a parallel step, or in a run that has failed: its workflow is
-- gone. The row of that step is locked too, because it comes first in the order of locks.
-- parallel: its path, NULL for the whole run.
WITH open AS (
    -- Locked in document order, as everywhere: two that lock steps in other orders would wait for
    -- each other for ever.
    SELECT id, path, status FROM pulse_workflow_step_runs
    WHERE run_id = :run_id AND tenant_id = :tenant_id AND generation = :generation
        AND (status IN ('running', 'scheduled') OR blocked_reason IS NOT NULL)
        AND (:parallel::text IS NULL OR path = :parallel OR path LIKE :parallel || '/%')
    ORDER BY path_numbers
    FOR NO KEY UPDATE
), step AS (
    -- What was at work has failed.
    UPDATE pulse_workflow_step_runs AS s
    SET status = 'failed', error_message = :reason, completed_at = now(), next_attempt_at = NULL,
        retrying_since = NULL, blocked_reason = NULL
    FROM open
    WHERE s.id = open.id AND open.status IN ('running', 'scheduled')
        AND open.path IS DISTINCT FROM :parallel
    RETURNING s.id, s.path, s.path_numbers
), unblocked AS (
    -- What could not begin is not asked for any more; else it would be told as held up for ever.
    UPDATE pulse_workflow_step_runs AS s
    SET blocked_reason = NULL
    FROM open
    WHERE s.id = open.id AND open.status = 'pending' AND open.path IS DISTINCT FROM :parallel
), attempt AS (
    -- A worker that is still at it has lost the step: it records nothing.
    UPDATE pulse_step_attempts AS a
    SET status = 'lost', ended_at = now(), error_message = :reason
    FROM step
    WHERE a.step_run_id = step.id AND a.status = 'open'
)
INSERT INTO pulse_run_events ({{step_event}})
SELECT :run_id, :tenant_id, :generation, 'step_failed', path, now(),
    jsonb_build_object('error', :reason::text, 'final', true)
FROM step
ORDER BY path_numbers
RETURNING path;
