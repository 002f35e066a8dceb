-- Locks are taken in one order: the control row, the run, its steps, their attempts. Statements
-- lock the control row FOR SHARE, so that those of one run do not wait for each other and a
-- cancel or retry, which takes it alone, waits for all. Postgres carries out the parts of a WITH
-- in the order in which they are read: a part that reads (SELECT count(*) FROM run) AS run_first
-- has the lock of the run before its own.

-- name: claim
-- Take a step that nobody works on, and load all that its handler needs. No row: it is being
-- worked on, has ended, is canceled, this execution does not speak for the run, or the run needs a
-- newer release.
-- bound: time until the attempt's deadline. waited_after: failed attempt whose pause Temporal's
-- timer has let pass, 0 for none. first_execution_run_id: of an execution that begins with this
-- step, as the first to speak for its run or branch and generation; NULL: it has begun.
-- known_depth, known_index: place before which the results are known to the caller, its depth in
-- path_numbers and index there, 1 and 0 for none; known_mark: of the rows they were read from.
-- dialect: the newest that the process knows.
-- context: the results that are not known, or all of them when the known ones are others by now.
WITH control AS (
    -- The run is open, and this release knows its dialect. FOR SHARE: a cancel or a retry, which
    -- takes the row alone, waits for this claim; after it none is made.
    SELECT c.run_id FROM pulse_run_control AS c
    WHERE {{control_is_open}}
        AND EXISTS (
            SELECT 1 FROM pulse_workflow_runs AS r
            WHERE r.id = :run_id AND r.dialect <= :dialect
                AND (:first_execution_run_id::text IS NULL
                    OR r.status IN ('pending', 'running', 'waiting'))
        )
    FOR SHARE
), run AS (
    -- The run starts, or goes on to this step. Written only where that changes the row, so that
    -- deliveries of one run do not wait for each other here.
    UPDATE pulse_workflow_runs AS r
    SET
        current_step_index = split_part(:path, '/', 1)::int, updated_at = now(),
        status = CASE WHEN r.status = 'pending' THEN 'running' ELSE r.status END,
        started_at = coalesce(r.started_at, now())
    FROM control
    WHERE r.id = :run_id AND r.tenant_id = :tenant_id AND :branch = '' AND (
        r.status = 'pending'
        OR :first_execution_run_id::text IS NULL
            AND r.current_step_index <> split_part(:path, '/', 1)::int
            -- What a late claim would set back has gone on.
            AND EXISTS (
                SELECT 1 FROM pulse_workflow_step_runs AS s
                WHERE s.run_id = :run_id AND s.path = :path AND s.status IN ('pending', 'scheduled')
            )
            AND EXISTS (
                SELECT 1 FROM pulse_run_lineages AS l
                WHERE {{speaks(l)}}
            )
    )
    RETURNING r.id
), begun AS (
    -- An execution that begins with this step writes for its list from now on. When two begin, the
    -- later one gets no row, and so no step.
    INSERT INTO pulse_run_lineages (
        run_id, tenant_id, generation, branch, first_execution_run_id, temporal_run_id
    )
    SELECT control.run_id, :tenant_id, :generation, :branch, :first_execution_run_id,
        :temporal_run_id
    FROM control, (SELECT count(*) FROM run) AS run_first
    WHERE :first_execution_run_id::text IS NOT NULL
    ON CONFLICT (run_id, generation, branch) DO NOTHING
    RETURNING epoch
), speaker AS (
    -- The lineage of this execution, and its epoch. None: another one writes by now, and a claim
    -- would take the step from it.
    SELECT epoch FROM begun
    UNION ALL
    SELECT epoch FROM pulse_run_lineages
    WHERE :first_execution_run_id::text IS NULL
        AND run_id = :run_id AND generation = :generation AND branch = :branch
        AND temporal_run_id = :temporal_run_id
    LIMIT 1  -- never more; told so, the planner keeps its plan
), step AS (
    -- Take the step. A delivery that comes at the same moment waits for the row and finds it
    -- running.
    UPDATE pulse_workflow_step_runs AS s
    SET
        status = 'running', claim = s.claim + 1, epoch = l.epoch, attempt = s.attempt + 1,
        started_at = coalesce(s.started_at, now()), next_attempt_at = NULL,
        blocked_reason = NULL, blocked_since = NULL
    FROM control
    CROSS JOIN (SELECT count(*) FROM run) AS run_first
    CROSS JOIN speaker AS l
    WHERE s.run_id = :run_id AND s.path = :path AND s.tenant_id = :tenant_id
        AND s.generation = :generation
        AND s.status IN ('pending', 'scheduled')
        -- The timer's word counts for this pause only, not when an old attempt comes again.
        AND (s.attempt = :waited_after
            OR coalesce(s.next_attempt_at, now()) <= now() + interval '1 s')
    RETURNING s.*
), attempt AS (
    -- What is left of a worker that dies: an open attempt, given up after its deadline.
    INSERT INTO pulse_step_attempts (
        step_run_id, claim, run_id, tenant_id, generation, epoch, attempt, worker_id,
        started_at, deadline_at
    )
    SELECT id, claim, run_id, tenant_id, generation, epoch, attempt, :worker_id, now(),
        now() + :bound
    FROM step
), event AS (
    -- Told with the claim, so that no attempt is without its beginning.
    INSERT INTO pulse_run_events ({{step_event}})
    SELECT run_id, tenant_id, generation, 'step_started', path, now(),
        jsonb_build_object('attempt', attempt)
    FROM step
), earlier AS MATERIALIZED (
    -- What a handler may see: the earlier siblings in each list that its path goes through,
    -- and all below them; never a step of a sibling branch, so never the run's own context,
    -- which takes in all branches while the run waits and when it has failed.
    -- A result is not read here: one of more than 2 KiB lies elsewhere, and is named only.
    SELECT
        e.step_name, e.result, lists.is_new,
        hashtextextended(
            e.id, coalesce(extract(epoch FROM e.completed_at) * 1000000, 0)::bigint
        ) AS mark
    FROM step AS s
    JOIN pulse_workflow_step_runs AS e ON e.run_id = :run_id
    CROSS JOIN LATERAL (
        SELECT bool_or(d.depth > :known_depth OR d.depth = :known_depth
            AND e.path_numbers[d.depth] >= :known_index) AS is_new
        FROM generate_series(1, cardinality(s.path_numbers), 2) AS d (depth)
        WHERE e.path_numbers[1:d.depth - 1] = s.path_numbers[1:d.depth - 1]
            AND e.path_numbers[d.depth] < s.path_numbers[d.depth]
    ) AS lists
    WHERE {{joins_context(e)}} AND lists.is_new IS NOT NULL
), known AS (
    -- Whether the results that the caller knows are those on record; if not, all are sent again.
    SELECT
        coalesce(sum(mark), 0)::text AS context_mark,
        coalesce(sum(mark) FILTER (WHERE NOT is_new), 0)::text = :known_mark::text AS is_known
    FROM earlier
)
SELECT
    s.id AS s_id, s.step_index AS s_step_index, s.step_type AS s_step_type,
    s.step_name AS s_step_name, s.handler AS s_handler, s.status AS s_status,
    s.path AS s_path, s.started_at AS s_started_at, s.branch_index AS s_branch_index,
    s.parent_step_run_id AS s_parent_step_run_id, s.attempt AS s_attempt,
    s.max_attempts AS s_max_attempts, s.created_at AS s_created_at, s.claim, s.epoch,
    r.definition_id AS r_definition_id,
    -- This statement's own change of the run is not seen here.
    CASE WHEN r.status = 'pending' THEN 'running' ELSE r.status END AS r_status,
    r.is_replay AS r_is_replay,
    r.is_dry_run AS r_is_dry_run, r.definition_snapshot::text AS r_definition_snapshot,
    coalesce(r.started_at, now()) AS r_started_at, r.created_at AS r_created_at,
    r.updated_at AS r_updated_at,
    r.current_step_index AS r_current_step_index,
    t.id AS t_id, t.source AS t_source, t.type AS t_type, t.resource_type AS t_resource_type,
    t.resource_id AS t_resource_id, t.environment AS t_environment,
    t.payload::text AS t_payload, t.idempotency_key AS t_idempotency_key,
    t.caused_by_run_id AS t_caused_by_run_id, t.root_trigger_id AS t_root_trigger_id,
    t.depth AS t_depth, t.is_replay AS t_is_replay, t.created_at AS t_created_at,
    known.context_mark, known.is_known,
    coalesce((
        SELECT jsonb_object_agg(e.step_name, e.result) FROM earlier AS e
        WHERE e.is_new OR NOT known.is_known
    ), '{}')::text AS context
FROM step AS s
CROSS JOIN known
JOIN pulse_workflow_runs AS r ON r.id = s.run_id
JOIN pulse_triggers AS t ON t.id = r.trigger_id;

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

-- name: close_attempt
-- End an attempt that nobody will record any more, as lost, timed_out or released. A worker that
-- shuts down calls this in a transaction of its own: without the control row it would hold the
-- attempt while a cancel, which locks in the other direction, waits for it.
WITH control AS (
    SELECT c.run_id FROM pulse_run_control AS c
    WHERE c.run_id = :run_id AND c.tenant_id = :tenant_id
    FOR SHARE
), attempt AS (
    UPDATE pulse_step_attempts AS a
    SET status = :status, ended_at = now(), error_message = :error_message
    FROM control
    WHERE a.step_run_id = :step_run_id AND a.claim = :claim AND a.status = 'open'
        AND a.run_id = control.run_id
    RETURNING a.step_run_id, a.run_id, a.tenant_id, a.generation, a.attempt
)
INSERT INTO pulse_run_events ({{step_event}})
SELECT a.run_id, a.tenant_id, a.generation, 'step_failed', s.path, now(),
    jsonb_build_object(
        'attempt', a.attempt, 'error', :error_message::text, 'counts', :status = 'timed_out'
    )
FROM attempt AS a JOIN pulse_workflow_step_runs AS s ON s.id = a.step_run_id;

-- name: give_back
-- Give a step back whose delivery takes too long for where it runs; it costs no attempt.
WITH control AS (
    SELECT c.run_id FROM pulse_run_control AS c
    WHERE c.run_id = :run_id AND c.tenant_id = :tenant_id
    FOR SHARE
), step AS (
    UPDATE pulse_workflow_step_runs AS s
    SET status = 'scheduled', attempt = s.attempt - 1
    FROM control JOIN pulse_step_attempts AS a ON a.run_id = control.run_id
    WHERE s.id = :step_run_id AND s.claim = :claim AND s.status = 'running'
        AND a.step_run_id = :step_run_id AND a.claim = :claim AND a.status = 'open'
    RETURNING s.id
)
UPDATE pulse_step_attempts AS a
SET status = 'released', ended_at = now(), error_message = :reason
FROM step WHERE a.step_run_id = step.id AND a.claim = :claim;

-- name: unclaim
-- Take a claim back as if it had not been made: this release cannot read what it has claimed.
-- Nobody else knows the claim, so its number is free again. What began with it has not begun.
-- temporal_run_id: of the execution that began with it; NULL: it had begun.
WITH run AS (
    -- Pending again, when nothing but this claim has started it.
    UPDATE pulse_workflow_runs AS r
    SET status = 'pending', started_at = NULL
    WHERE r.id = :run_id AND r.status = 'running' AND r.generation = 1 AND :generation = 1
        AND :branch = ''
        AND EXISTS (
            SELECT 1 FROM pulse_run_lineages AS l
            WHERE {{speaks(l)}} AND l.epoch = 1
        )
    RETURNING r.id
), begun AS (
    -- An execution of a worker of the newer release is the first one then.
    DELETE FROM pulse_run_lineages AS l
    WHERE {{speaks(l)}} AND l.epoch = 1
), step AS (
    -- As before the claim; the run first, as everywhere.
    UPDATE pulse_workflow_step_runs AS s
    SET
        status = CASE WHEN s.claim = 1 THEN 'pending' ELSE 'scheduled' END,
        started_at = CASE WHEN s.claim > 1 THEN s.started_at END,
        claim = s.claim - 1, attempt = s.attempt - 1
    FROM (SELECT count(*) FROM run) AS run_first
    WHERE s.id = :step_run_id AND s.claim = :claim AND s.status = 'running'
    RETURNING s.id, s.run_id, s.path
), attempt AS (
    -- No attempt: it would count as one whose worker was lost.
    DELETE FROM pulse_step_attempts AS a USING step
    WHERE a.step_run_id = step.id AND a.claim = :claim
)
DELETE FROM pulse_run_events AS e USING step
WHERE e.run_id = step.run_id AND e.seq = (
    SELECT max(l.seq) FROM pulse_run_events AS l
    WHERE l.run_id = step.run_id AND l.path = step.path AND l.kind = 'step_started'
);

-- name: reopen
-- Give a step whose attempt was closed back to the next claim.
-- attempt_counts: because it passed its deadline.
UPDATE pulse_workflow_step_runs
SET status = 'scheduled', attempt = attempt - CASE WHEN :attempt_counts THEN 0 ELSE 1 END
WHERE id = :step_run_id AND status = 'running';

-- name: give_up
-- Fail a step outside of an attempt: lost workers, a handler that never came.
WITH step AS (
    UPDATE pulse_workflow_step_runs
    SET status = 'failed', error_message = :error_message, completed_at = now(),
        blocked_reason = NULL
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

-- name: record_success
-- Write a handler's result. Any claim of this generation and epoch may, while its attempt is
-- open or lost. No row: canceled, superseded, or recorded by another claim. Nothing is written
-- when there is no room for it among the run's results. The transaction may be as old as the
-- handler's call, so the time of the record is the clock's. The last step of a run ends it too.
-- result: JSON text, NULL: nothing was returned. log_…: one element a line, log_data: JSON texts.
-- room: bytes that the run's results may have altogether. ends: it is the last step. mark: of the
-- transaction in which alone it may be written, NULL: any. answer: of a condition, else NULL.
WITH control AS (
    -- FOR SHARE: a cancel that came first has closed the row, and nothing is recorded; one that
    -- comes later waits, and finds the result. The mark is gone when a handler has ended the
    -- transaction that it works in: what it did and the record would not commit together.
    SELECT c.run_id FROM pulse_run_control AS c
    WHERE {{control_is_open}}
        AND (:mark::text IS NULL OR :mark::text = current_setting('pulse.loan', true))
    FOR SHARE
), room AS (
    -- Whether the result fits among the others: a worker must be able to load all of them.
    SELECT coalesce(sum(e.result_bytes), 0) + octet_length(:result::text) <= :room::bigint
        AS is_enough
    FROM pulse_workflow_step_runs AS e
    WHERE e.run_id = :run_id AND e.tenant_id = :tenant_id AND e.path <> :path
        AND e.result IS NOT NULL
), run AS (
    -- Locked before the steps, as everywhere, and only when this one ends the run: else branches
    -- that record at the same moment would wait for each other.
    SELECT r.id FROM control JOIN pulse_workflow_runs AS r ON r.id = control.run_id
    WHERE :ends::bool AND r.tenant_id = :tenant_id AND r.status IN ('pending', 'running', 'waiting')
    FOR NO KEY UPDATE OF r
), step AS (
    -- The record. By lineage and epoch, a worker of an execution that has been replaced writes
    -- nothing; by the status, a second result of the same step is none.
    UPDATE pulse_workflow_step_runs AS s
    SET status = 'completed', result = :result::text::jsonb,
        result_bytes = octet_length(:result::text),
        answer = :answer::bool, completed_at = clock_timestamp(), error_message = NULL,
        next_attempt_at = NULL
    FROM control
    CROSS JOIN (SELECT count(*) FROM run) AS run_first
    JOIN room ON room.is_enough IS NOT FALSE
    JOIN pulse_run_lineages AS l
        ON {{speaks(l)}}
    JOIN pulse_step_attempts AS a
        ON a.run_id = :run_id AND a.claim = :claim AND a.generation = :generation
            AND a.epoch = l.epoch
        AND a.status IN ('open', 'lost')
    WHERE s.run_id = :run_id AND s.path = :path AND s.tenant_id = :tenant_id
        AND s.generation = :generation
        AND a.step_run_id = s.id AND s.status IN ('running', 'scheduled')
    RETURNING s.id, s.run_id, s.tenant_id, s.generation, s.path, s.completed_at, a.attempt,
        s.answer,
        CASE WHEN {{joins_context(s)}}
            THEN jsonb_build_object(s.step_name, s.result) ELSE '{}' END AS context
), attempt AS (
    -- This attempt counts. Another that is open, because this one was given up, is lost.
    UPDATE pulse_step_attempts AS a
    SET status = CASE WHEN a.claim = :claim THEN 'completed' ELSE 'lost' END,
        ended_at = step.completed_at,
        error_message = CASE WHEN a.claim = :claim THEN NULL ELSE a.error_message END
    FROM step
    WHERE a.step_run_id = step.id AND (a.claim = :claim OR a.status = 'open')
), logs AS (
    -- Before the event, so that the timeline shows an attempt's lines before its end.
    {{log_lines}}
), event AS (
    -- Numbered behind the lines.
    INSERT INTO pulse_run_events ({{step_event}})
    SELECT run_id, tenant_id, generation, 'step_completed', path, completed_at,
        jsonb_strip_nulls(jsonb_build_object('attempt', attempt, 'answer', answer))
    FROM step, (SELECT count(*) FROM logs) AS logs_first
    RETURNING 1
), ending AS (
    -- The run ends with its last step, in the same commit: no worker has to come again for it.
    SELECT
        run.id AS run_id, 'completed' AS status, step.completed_at AS at, NULL AS reason,
        NULL::timestamptz AS began_at, step.context AS result, '{}'::jsonb AS detail
    FROM step JOIN run ON run.id = step.run_id, (SELECT count(*) FROM event) AS step_first
), {{run_end}}
SELECT true AS fits, EXISTS (SELECT 1 FROM ended) AS ends FROM step
UNION ALL
SELECT false, false FROM room WHERE NOT is_enough;

-- name: record_failure
-- Write a failed attempt and decide whether another one follows; only the newest claim may.
-- No row: canceled, superseded, or another claim has taken over.
-- max_backoff_ms, asked_pause_ms: NULL for none; the latter is what the handler has asked for.
-- ending: of the attempt, failed or timed_out. log_…: as of record_success.
WITH control AS (
    -- FOR SHARE: a cancel that came first has closed the row, and nothing is recorded; one that
    -- comes later waits, and ends what is recorded here.
    SELECT c.run_id FROM pulse_run_control AS c
    WHERE {{control_is_open}}
    FOR SHARE
), current AS (
    -- Whether another attempt follows, and after which pause. By the epoch: a worker of an
    -- execution that has been replaced must not decide it.
    SELECT
        s.id, s.attempt,
        :retryable::bool AND s.attempt < s.max_attempts AS again,
        coalesce(:asked_pause_ms::bigint, least(
            :max_backoff_ms::bigint,
            (:backoff_ms::bigint * power(:backoff_coefficient::float8, s.attempt - 1))::bigint
        )) AS backoff_ms
    FROM control
    JOIN pulse_workflow_step_runs AS s
        ON s.run_id = :run_id AND s.path = :path AND s.tenant_id = :tenant_id
            AND s.generation = :generation
    JOIN pulse_run_lineages AS l
        ON {{speaks(l)}}
        AND l.epoch = s.epoch
), step AS (
    -- Only the newest claim: one that was given up would take the step from the one that followed.
    UPDATE pulse_workflow_step_runs AS s
    SET
        status = CASE WHEN c.again THEN 'scheduled' ELSE 'failed' END,
        error_message = :error_message,
        next_attempt_at = CASE WHEN c.again THEN now() + c.backoff_ms * interval '1 ms' END,
        completed_at = CASE WHEN c.again THEN NULL ELSE now() END
    FROM current AS c
    WHERE s.id = c.id AND s.claim = :claim AND s.status = 'running'
    RETURNING s.id, s.run_id, s.tenant_id, s.generation, s.path, c.attempt, c.again,
        c.backoff_ms, s.max_attempts
), attempt AS (
    -- What came of the attempt, and where it failed.
    UPDATE pulse_step_attempts AS a
    SET status = :ending, ended_at = now(), error_message = :error_message, traceback = :traceback
    FROM step
    WHERE a.step_run_id = step.id AND a.claim = :claim
), logs AS (
    -- Before the event, so that the timeline shows an attempt's lines before its end.
    {{log_lines}}
), event AS (
    -- Numbered behind the lines.
    INSERT INTO pulse_run_events ({{step_event}})
    SELECT run_id, tenant_id, generation, 'step_failed', path, now(),
        jsonb_strip_nulls(jsonb_build_object(
            'attempt', attempt, 'error', :error_message::text, 'final', NOT again,
            'retryInMs', CASE WHEN again THEN backoff_ms END
        ))
    FROM step, (SELECT count(*) FROM logs) AS logs_first
)
SELECT attempt, max_attempts, CASE WHEN again THEN backoff_ms END AS retry_in_ms FROM step;

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
-- Fail what is still at work below a block or in a run that has failed: its workflow is gone.
-- The block's own row is locked too, because it comes first in the order of locks.
-- block: its path, NULL for the whole run.
WITH open AS (
    -- Locked in document order, as everywhere: two that lock steps in other orders would wait for
    -- each other for ever.
    SELECT id, path, status FROM pulse_workflow_step_runs
    WHERE run_id = :run_id AND tenant_id = :tenant_id AND generation = :generation
        AND (status IN ('running', 'scheduled') OR blocked_reason IS NOT NULL)
        AND (:block::text IS NULL OR path = :block OR path LIKE :block || '/%')
    ORDER BY path_numbers
    FOR NO KEY UPDATE
), step AS (
    -- What was at work has failed.
    UPDATE pulse_workflow_step_runs AS s
    SET status = 'failed', error_message = :reason, completed_at = now(), next_attempt_at = NULL,
        blocked_reason = NULL
    FROM open
    WHERE s.id = open.id AND open.status IN ('running', 'scheduled')
        AND open.path IS DISTINCT FROM :block
    RETURNING s.id, s.path, s.path_numbers
), unblocked AS (
    -- What could not begin is not asked for any more; else it would be told as held up for ever.
    UPDATE pulse_workflow_step_runs AS s
    SET blocked_reason = NULL
    FROM open
    WHERE s.id = open.id AND open.status = 'pending' AND open.path IS DISTINCT FROM :block
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
