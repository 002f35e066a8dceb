-- In which order statements lock is said in fragments.sql.

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
        AND (:mark::text IS NULL OR :mark::text = current_setting('pulse.borrowed', true))
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
        next_attempt_at = NULL, retrying_since = NULL
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
        retrying_since = CASE WHEN c.again THEN coalesce(s.retrying_since, now()) END,
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

-- name: close
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

-- name: list_attempts
-- In document order, those of one step in the order of their claims.
-- tenant_id: NULL for any; path: NULL for all steps.
SELECT
    a.step_run_id, a.run_id, a.tenant_id, s.path, s.step_name, a.generation, a.claim, a.attempt,
    a.status, a.worker_id, a.started_at, a.deadline_at, a.ended_at, a.error_message, a.traceback
FROM pulse_step_attempts AS a
JOIN pulse_workflow_step_runs AS s ON s.id = a.step_run_id
WHERE a.run_id = :run_id AND (:tenant_id::text IS NULL OR a.tenant_id = :tenant_id)
    AND (:path::text IS NULL OR s.path = :path)
ORDER BY s.path_numbers, a.claim;

-- name: hold
-- Say of open attempts that their worker is at work on them although it cannot tell Temporal.
-- hold_loops: which of them block the worker's event loop.
UPDATE pulse_step_attempts AS a
SET held_at = now(), holds_loop = a.holds_loop OR h.holds_loop
FROM unnest(:step_run_ids::text[], :claims::int[], :hold_loops::bool[])
    AS h (step_run_id, claim, holds_loop)
WHERE a.step_run_id = h.step_run_id AND a.claim = h.claim AND a.status = 'open';
