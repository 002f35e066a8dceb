-- What must hold at any moment, whatever was killed: each statement gives the ids that break it.

-- name: run_without_trigger
SELECT r.id FROM pulse_workflow_runs AS r
LEFT JOIN pulse_triggers AS t ON t.id = r.trigger_id AND t.tenant_id = r.tenant_id
WHERE t.id IS NULL;

-- name: run_planned_twice
-- One run for each signal and definition, replays excepted.
SELECT min(id) AS id FROM pulse_workflow_runs
WHERE NOT is_replay GROUP BY trigger_id, definition_id HAVING count(*) > 1;

-- name: run_without_control
SELECT r.id FROM pulse_workflow_runs AS r
LEFT JOIN pulse_run_control AS c ON c.run_id = r.id AND c.tenant_id = r.tenant_id
WHERE r.engine = 'temporal' AND (c.run_id IS NULL OR c.generation <> r.generation);

-- name: run_moments_contradict_status
SELECT id FROM pulse_workflow_runs
WHERE (status = 'completed') <> (completed_at IS NOT NULL)
    OR (status = 'failed') <> (failed_at IS NOT NULL)
    OR (status = 'canceled') <> (canceled_at IS NOT NULL)
    OR (status IN ('running', 'waiting', 'completed') AND started_at IS NULL)
    OR completed_at < started_at OR started_at < created_at;

-- name: run_ended_and_went_on
-- Within a generation nothing follows the end of a run, unless a reset in Temporal let it go on.
SELECT DISTINCT e.run_id AS id
FROM pulse_run_events AS e
JOIN pulse_run_events AS f
    ON f.run_id = e.run_id AND f.generation = e.generation AND f.seq > e.seq
WHERE e.kind IN ('run_completed', 'run_failed', 'run_canceled')
    AND NOT (e.kind = 'run_failed' AND EXISTS (
        SELECT 1 FROM pulse_execution_logs AS l
        WHERE l.run_id = e.run_id AND l.data ->> 'repair' = 'reset' AND l.seq > e.seq
    ));

-- name: ended_run_without_a_result
-- The stored context of a run that is over has every result; lists of runs show it.
SELECT DISTINCT r.id FROM pulse_workflow_runs AS r
JOIN pulse_workflow_step_runs AS s ON s.run_id = r.id
WHERE r.status IN ('completed', 'failed', 'canceled') AND r.engine = 'temporal'
    AND {{joins_context(s)}}
    AND r.context -> s.step_name IS DISTINCT FROM s.result;

-- name: action_with_an_answer
-- Only conditions answer.
SELECT id FROM pulse_workflow_step_runs WHERE answer IS NOT NULL AND step_type <> 'condition';

-- name: completed_run_with_open_step
SELECT DISTINCT r.id FROM pulse_workflow_runs AS r
JOIN pulse_workflow_step_runs AS s ON s.run_id = r.id
WHERE r.status = 'completed' AND s.status NOT IN ('completed', 'skipped');

-- name: failed_run_with_running_step
SELECT DISTINCT r.id FROM pulse_workflow_runs AS r
JOIN pulse_workflow_step_runs AS s ON s.run_id = r.id
WHERE r.status = 'failed' AND s.status IN ('running', 'scheduled');

-- name: failed_run_without_reason
SELECT id FROM pulse_workflow_runs WHERE status = 'failed' AND error_message IS NULL;

-- name: canceled_run_with_open_step
SELECT DISTINCT r.id FROM pulse_workflow_runs AS r
JOIN pulse_workflow_step_runs AS s ON s.run_id = r.id
WHERE r.status = 'canceled' AND s.status IN ('pending', 'scheduled', 'running');

-- name: step_recorded_twice
-- One recorded completion for each step; a result is never made again.
SELECT step_run_id AS id FROM pulse_step_attempts
WHERE status = 'completed' GROUP BY step_run_id HAVING count(*) > 1;

-- name: step_started_after_its_record
SELECT DISTINCT later.step_run_id AS id
FROM pulse_step_attempts AS done
JOIN pulse_step_attempts AS later
    ON later.step_run_id = done.step_run_id AND later.started_at > done.ended_at
WHERE done.status = 'completed';

-- name: ended_step_with_open_attempt
SELECT s.id FROM pulse_workflow_step_runs AS s
JOIN pulse_step_attempts AS a ON a.step_run_id = s.id AND a.status = 'open'
WHERE s.status IN ('completed', 'failed', 'skipped', 'pending');

-- name: more_attempts_than_granted
SELECT id FROM pulse_workflow_step_runs WHERE attempt > max_attempts;

-- name: delay_ended_early
SELECT id FROM pulse_workflow_step_runs
WHERE step_type = 'delay' AND status = 'completed' AND completed_at < scheduled_for;

-- name: step_before_its_turn
-- A step starts when the one before it in its list has ended.
SELECT s.id FROM pulse_workflow_step_runs AS s
JOIN pulse_workflow_step_runs AS b
    ON b.run_id = s.run_id AND b.step_index = s.step_index - 1
    AND b.parent_step_run_id IS NOT DISTINCT FROM s.parent_step_run_id
    AND b.branch_index IS NOT DISTINCT FROM s.branch_index
WHERE s.started_at IS NOT NULL AND b.status NOT IN ('completed', 'skipped');

-- name: parallel_completed_before_its_branches
SELECT p.id FROM pulse_workflow_step_runs AS p
JOIN pulse_workflow_step_runs AS c ON c.parent_step_run_id = p.id
WHERE p.status = 'completed' AND c.status NOT IN ('completed', 'skipped');

-- name: tenants_mixed
SELECT s.id FROM pulse_workflow_step_runs AS s
JOIN pulse_workflow_runs AS r ON r.id = s.run_id
WHERE s.tenant_id <> r.tenant_id
UNION ALL
SELECT l.id FROM pulse_execution_logs AS l
JOIN pulse_workflow_runs AS r ON r.id = l.run_id
WHERE l.tenant_id <> r.tenant_id
UNION ALL
SELECT r.id FROM pulse_workflow_runs AS r
JOIN pulse_workflow_definitions AS d ON d.id = r.definition_id
WHERE d.tenant_id <> r.tenant_id;

-- name: bulk_counts_contradict_items
-- What an operation has counted is what its items say, and it is over when none is left.
SELECT o.id FROM pulse_bulk_operations AS o
CROSS JOIN LATERAL (
    SELECT
        count(*) AS items,
        count(*) FILTER (WHERE i.outcome = 'done') AS done,
        count(*) FILTER (WHERE i.outcome = 'failed') AS failed,
        count(*) FILTER (WHERE i.outcome = 'skipped') AS skipped,
        count(*) FILTER (WHERE i.outcome = 'pending') AS pending
    FROM pulse_bulk_items AS i
    WHERE i.operation_id = o.id AND i.tenant_id = o.tenant_id
) AS told
WHERE (o.items, o.done, o.failed, o.skipped)
        <> (told.items, told.done, told.failed, told.skipped)
    OR (o.status = 'completed' AND told.pending > 0)
    OR (o.status = 'running' AND told.pending = 0)
    OR (o.ended_at IS NOT NULL) <> (o.status IN ('completed', 'aborted'));

-- name: bulk_retried_more_than_once
-- An operation retries each run once, and says so where it has.
SELECT i.run_id AS id FROM pulse_bulk_items AS i
JOIN pulse_bulk_operations AS o ON o.id = i.operation_id AND o.kind = 'retry'
WHERE (
    SELECT count(*) FROM pulse_audit AS a
    WHERE a.subject_id = i.run_id AND a.action = 'run.retry' AND a.detail ->> 'bulk' = o.id
) <> (i.outcome = 'done')::int;
