-- What must hold after chaos, beyond the invariants of the store. Each statement gives the
-- subjects that break it; the first word of its name is the kind of finding.
--
-- chaos_told   what the emitter was told: did, trigger_id, run_id, key, at, generation
-- chaos_calls  effects of plain actions, one row a call: run_id, path

-- name: lost_signal
SELECT DISTINCT told.trigger_id AS subject FROM chaos_told AS told
LEFT JOIN pulse_triggers AS t ON t.id = told.trigger_id
WHERE told.did IN ('emitted', 'joined') AND t.id IS NULL;

-- name: lost_run
SELECT DISTINCT told.run_id AS subject FROM chaos_told AS told
LEFT JOIN pulse_workflow_runs AS r ON r.id = told.run_id AND r.trigger_id = told.trigger_id
WHERE told.did IN ('emitted', 'joined', 'replayed') AND told.run_id IS NOT NULL AND r.id IS NULL;

-- name: lost_run_of_a_stored_signal
-- Every stored signal has a run for each definition of its type, whoever was told of it.
SELECT t.id || ' ' || d.name AS subject FROM pulse_triggers AS t
JOIN pulse_workflow_definitions AS d ON d.tenant_id = t.tenant_id AND d.trigger_type = t.type
LEFT JOIN pulse_workflow_runs AS r ON r.trigger_id = t.id AND r.definition_id = d.id
WHERE r.id IS NULL;

-- name: lost_end_of_run
SELECT id || ' is ' || status AS subject FROM pulse_workflow_runs
WHERE status NOT IN ('completed', 'failed', 'canceled');

-- name: lost_command
SELECT concat_ws(' ', kind, run_id, last_error) AS subject FROM pulse_outbox;

-- name: lost_signal_of_an_order
SELECT o.op || ' ' || o.trigger_id AS subject FROM chaos_orders AS o
LEFT JOIN pulse_triggers AS t ON t.id = o.trigger_id WHERE t.id IS NULL;

-- name: lost_order
SELECT told.trigger_id AS subject FROM chaos_told AS told
LEFT JOIN chaos_orders AS o ON o.trigger_id = told.trigger_id
WHERE told.did = 'joined' AND o.op IS NULL;

-- name: lost_cancel
SELECT r.id || ' is ' || r.status AS subject FROM chaos_told AS told
JOIN pulse_workflow_runs AS r ON r.id = told.run_id
WHERE told.did = 'canceled' AND r.status <> 'canceled';

-- name: lost_retry
SELECT r.id || ' is of generation ' || r.generation AS subject FROM chaos_told AS told
JOIN pulse_workflow_runs AS r ON r.id = told.run_id
WHERE told.did = 'retried' AND r.generation < told.generation;

-- name: lost_effect_in_the_transaction
SELECT s.run_id || ' ' || s.path AS subject FROM pulse_workflow_step_runs AS s
LEFT JOIN chaos_effects AS e ON e.run_id = s.run_id AND e.path = s.path
WHERE s.status = 'completed' AND s.handler LIKE 'pay%' AND e.run_id IS NULL;

-- name: lost_effect_outside
SELECT s.run_id || ' ' || s.path AS subject FROM pulse_workflow_step_runs AS s
LEFT JOIN chaos_calls AS c ON c.run_id = s.run_id AND c.path = s.path
WHERE s.status = 'completed' AND s.step_type = 'action' AND s.handler NOT LIKE 'pay%'
    AND c.run_id IS NULL;

-- name: lost_chained_signal
SELECT s.run_id || ' ' || s.path AS subject FROM pulse_workflow_step_runs AS s
LEFT JOIN pulse_triggers AS t
    ON t.tenant_id = s.tenant_id
    AND starts_with(
        t.idempotency_key, 'chain:' || s.run_id || ':' || s.path || ':chaos.child:'
    )
WHERE s.status = 'completed' AND s.handler IN ('tell', 'pay_and_tell') AND t.id IS NULL;

-- name: duplicate_chained_signal
SELECT s.run_id || ' ' || s.path || ' ' || count(*) || ' times' AS subject
FROM pulse_workflow_step_runs AS s
JOIN pulse_triggers AS t
    ON t.tenant_id = s.tenant_id
    AND starts_with(
        t.idempotency_key, 'chain:' || s.run_id || ':' || s.path || ':chaos.child:'
    )
WHERE s.handler IN ('tell', 'pay_and_tell')
GROUP BY s.run_id, s.path HAVING count(*) > 1;

-- name: duplicate_effect
SELECT run_id || ' ' || path || ' ' || count(*) || ' times' AS subject FROM chaos_effects
GROUP BY run_id, path HAVING count(*) > 1;

-- name: duplicate_effect_without_a_record
SELECT e.run_id || ' ' || e.path AS subject FROM chaos_effects AS e
LEFT JOIN pulse_workflow_step_runs AS s
    ON s.run_id = e.run_id AND s.path = e.path AND s.status = 'completed'
WHERE s.id IS NULL;

-- name: duplicate_effect_after_cancel
SELECT e.run_id || ' ' || e.path AS subject FROM chaos_effects AS e
JOIN chaos_told AS told ON told.run_id = e.run_id AND told.did = 'canceled'
WHERE pg_xact_commit_timestamp(e.xmin) > told.at;

-- name: duplicate_signal_of_a_key
SELECT key || ' ' || string_agg(DISTINCT trigger_id, ' ') AS subject FROM chaos_told
WHERE key IS NOT NULL GROUP BY key HAVING count(DISTINCT trigger_id) > 1;

-- name: duplicate_signal_in_a_rolled_back_transaction
SELECT told.trigger_id AS subject FROM chaos_told AS told
WHERE told.did = 'rolled back' AND (
    EXISTS (SELECT 1 FROM pulse_triggers WHERE id = told.trigger_id)
    OR EXISTS (SELECT 1 FROM chaos_orders WHERE trigger_id = told.trigger_id)
    OR EXISTS (SELECT 1 FROM pulse_workflow_runs WHERE id = told.run_id)
    OR EXISTS (SELECT 1 FROM chaos_effects WHERE run_id = told.run_id)
    OR EXISTS (SELECT 1 FROM chaos_calls WHERE run_id = told.run_id)
);

-- name: regression_of_a_generation
SELECT DISTINCT e.run_id AS subject FROM (
    SELECT run_id, generation, lag(generation) OVER (PARTITION BY run_id ORDER BY seq) AS before
    FROM pulse_run_events
) AS e
WHERE e.generation < e.before;

-- name: regression_of_a_step
-- Nothing follows what completed or was skipped, in any generation.
SELECT DISTINCT later.run_id || ' ' || later.path AS subject FROM pulse_run_events AS done
JOIN pulse_run_events AS later
    ON later.run_id = done.run_id AND later.path = done.path AND later.seq > done.seq
WHERE done.kind IN ('step_completed', 'step_skipped');

-- name: regression_of_the_last_word
-- The last end that the timeline tells of is the status of the run.
SELECT r.id || ' is ' || r.status || ' after ' || e.kind AS subject
FROM pulse_workflow_runs AS r
JOIN LATERAL (
    SELECT kind FROM pulse_run_events
    WHERE run_id = r.id AND generation = r.generation
        AND kind IN ('run_completed', 'run_failed', 'run_canceled')
    ORDER BY seq DESC LIMIT 1
) AS e ON true
WHERE e.kind <> 'run_' || r.status;

-- name: regression_of_a_cancel
SELECT DISTINCT a.run_id || ' ' || s.path AS subject FROM chaos_told AS told
JOIN pulse_step_attempts AS a ON a.run_id = told.run_id AND a.started_at > told.at
JOIN pulse_workflow_step_runs AS s ON s.id = a.step_run_id
WHERE told.did = 'canceled';

-- name: drift_of_a_session
-- No transaction is left open by whoever was killed or cut off.
SELECT pid || ' ' || state || ' since ' || xact_start || ': ' || query AS subject
FROM pg_stat_activity
WHERE state LIKE 'idle in transaction%' AND xact_start < now() - interval '10 s';
