-- Fill a migrated database with a history: each statement multiplies what the engine itself made.
-- All is a function of the seed. Foreign keys are not checked, as the session says.

-- name: functions
-- Ids as the engine makes them, but foreseeable; the moment decides the order.
CREATE FUNCTION pg_temp.made_id(kind text, at timestamptz, number bigint) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT kind || lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0')
        || '7' || substr(md5(kind || number), 1, 19)
$$;

-- name: dice
CREATE FUNCTION pg_temp.dice(number bigint, seed bigint, sides bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE AS $$ SELECT abs(hashint8extended(number, seed) % sides) $$;

-- name: definitions
-- Copies of one definition: every tenant has as many, each for another type of signal.
-- $1 definition to copy, $2 how many, $3 tenants, $4 moment of the first
INSERT INTO pulse_workflow_definitions (
    id, tenant_id, name, trigger_type, steps, config, step_plan, created_at, updated_at
)
SELECT
    pg_temp.made_id('wfd_', $4, n), 'tenant_' || n % $3::int, 'Workflow ' || n,
    'type_' || n / $3::int, d.steps, d.config, d.step_plan, $4, $4
FROM generate_series(0, $2::int - 1) AS n
JOIN pulse_workflow_definitions AS d ON d.id = $1;

-- name: plan
-- One row a signal: whose it is, when it was, which run of which definition it started, how that
-- stands. One in ten is tenant_0's; some start a run of many steps; the last sixth start none.
-- $1 seed, $2 runs, $3 tenants, $4 definitions of each, $5 first moment, $6 last moment,
-- $7 runs that one of many steps is among, $8 definition of many steps, of tenant_0
CREATE TEMP TABLE plan AS
SELECT
    n, at, 'tenant_' || tenant AS tenant_id,
    pg_temp.made_id('trg_', at, n) AS trigger_id, pg_temp.made_id('run_', at, n) AS run_id,
    CASE
        WHEN n > $2::int THEN NULL
        WHEN is_long THEN $8::text
        ELSE pg_temp.made_id('wfd_', $5, kind * $3::int + tenant)
    END AS definition_id,
    CASE WHEN is_long THEN 'long' WHEN n > $2::int THEN 'unheard' ELSE 'type_' || kind END AS type,
    CASE
        WHEN is_long OR die < 940 THEN 'completed' WHEN die < 970 THEN 'failed'
        WHEN die < 980 THEN 'canceled' WHEN die < 990 THEN 'waiting'
        WHEN die < 995 THEN 'running' ELSE 'pending'
    END AS status
FROM (
    SELECT
        n, n % $7::int = 0 AS is_long, pg_temp.dice(n, $1, 1000) AS die,
        pg_temp.dice(n, $1 + 1, $4) AS kind,
        CASE
            WHEN n % $7::int = 0 OR pg_temp.dice(n, $1 + 2, 10) = 0 THEN 0
            ELSE pg_temp.dice(n, $1 + 3, $3)
        END AS tenant,
        $5::timestamptz + ($6::timestamptz - $5::timestamptz)
            * ((CASE WHEN n > $2::int THEN (n - $2::int) * 5 ELSE n END)::float8 / $2::int) AS at
    FROM generate_series(1, $2::int + $2::int / 5) AS n
) AS thrown;

-- name: measure_plan
ANALYZE plan;

-- name: triggers
-- $1 seed, $2 things that signals are about
INSERT INTO pulse_triggers (
    id, tenant_id, source, type, resource_type, resource_id, payload, created_at,
    idempotency_key, request_hash
)
SELECT
    trigger_id, tenant_id, 'shop', type, 'order', 'order_' || pg_temp.dice(n, $1, $2),
    jsonb_build_object('orderId', n, 'amount', n % 977, 'currency', 'EUR', 'note', md5(n::text)),
    at, CASE WHEN n % 2 = 0 THEN 'key-' || n END, CASE WHEN n % 2 = 0 THEN md5(n::text) END
FROM plan ORDER BY at;

-- name: runs
INSERT INTO pulse_workflow_runs (
    id, definition_id, tenant_id, trigger_id, status, context, definition_snapshot, started_at,
    completed_at, failed_at, canceled_at, error_message, created_at, updated_at, engine
)
SELECT
    p.run_id, p.definition_id, p.tenant_id, p.trigger_id, p.status,
    CASE WHEN p.status = 'completed' THEN '{"charge": {"paid": true, "id": "ch_1"}}' ELSE '{}' END::jsonb,
    jsonb_build_object(
        'definitionId', d.id, 'version', 1, 'name', d.name, 'triggerType', d.trigger_type,
        'steps', d.steps, 'config', d.config
    ),
    CASE WHEN p.status NOT IN ('pending', 'canceled') THEN p.at + interval '20 ms' END,
    CASE WHEN p.status = 'completed' THEN p.at + interval '1 s' END,
    CASE WHEN p.status = 'failed' THEN p.at + interval '1 s' END,
    CASE WHEN p.status = 'canceled' THEN p.at + interval '1 s' END,
    CASE WHEN p.status = 'failed' THEN 'ship: ConnectionError: no answer' END,
    p.at, p.at + interval '1 s', 'temporal'
FROM plan AS p JOIN pulse_workflow_definitions AS d ON d.id = p.definition_id
ORDER BY p.at;

-- name: control
-- $1 task_queue
INSERT INTO pulse_run_control (run_id, tenant_id, task_queue, closed_as)
SELECT
    run_id, tenant_id, $1, CASE WHEN status IN ('failed', 'canceled') THEN status END
FROM plan WHERE definition_id IS NOT NULL ORDER BY at;

-- name: lineages
INSERT INTO pulse_run_lineages (
    run_id, tenant_id, generation, branch, first_execution_run_id, temporal_run_id, created_at
)
SELECT run_id, tenant_id, 1, '', md5(run_id)::uuid::text, md5(run_id)::uuid::text, at
FROM plan WHERE definition_id IS NOT NULL AND status <> 'pending' ORDER BY at;

-- name: steps
-- What is done of each run depends on how it stands.
INSERT INTO pulse_workflow_step_runs (
    id, run_id, tenant_id, step_index, step_type, step_name, path, path_numbers, handler,
    max_attempts, status, attempt, claim, epoch, started_at, completed_at, result, result_bytes,
    error_message, created_at
)
SELECT
    pg_temp.made_id('stp_', p.at, p.n * 100 + s.index), p.run_id, p.tenant_id, s.index, s.type,
    s.name, s.path, s.numbers, s.handler, s.max_attempts, stands.status,
    attempts, attempts, attempts,
    CASE WHEN attempts = 1 THEN p.at + s.index * interval '40 ms' END,
    CASE WHEN stands.status IN ('completed', 'failed') THEN p.at + (s.index + 1) * interval '40 ms' END,
    done.result, pg_column_size(done.result),
    CASE WHEN stands.status = 'failed' THEN 'ConnectionError: no answer' END, p.at
FROM plan AS p
JOIN pulse_workflow_definitions AS d ON d.id = p.definition_id
CROSS JOIN LATERAL jsonb_to_recordset(d.step_plan) AS s (
    path text, numbers int[], index int, type text, name text, handler text, max_attempts int
)
CROSS JOIN LATERAL (
    SELECT CASE p.status
        WHEN 'completed' THEN 100 WHEN 'failed' THEN 3 WHEN 'pending' THEN 0 ELSE 2
    END AS ended
) AS reach
CROSS JOIN LATERAL (
    SELECT CASE
        WHEN s.index < ended THEN 'completed'
        WHEN p.status = 'canceled' THEN 'skipped'
        WHEN s.index > ended OR p.status = 'pending' THEN 'pending'
        WHEN p.status = 'failed' THEN 'failed'
        WHEN p.status = 'waiting' THEN 'scheduled'
        ELSE 'running'
    END AS status
) AS stands
CROSS JOIN LATERAL (
    SELECT (stands.status IN ('completed', 'failed', 'running'))::int AS attempts,
        CASE WHEN stands.status = 'completed' AND s.type = 'action'
            THEN jsonb_build_object('paid', true, 'id', md5(p.n::text)) END AS result
) AS done
ORDER BY p.at, s.numbers;

-- name: attempts
INSERT INTO pulse_step_attempts (
    step_run_id, claim, run_id, tenant_id, generation, epoch, attempt, status, worker_id,
    started_at, deadline_at, ended_at, error_message
)
SELECT
    id, 1, run_id, tenant_id, 1, 1, 1,
    CASE WHEN status = 'running' THEN 'open' ELSE status END, 'wrk_1', started_at,
    started_at + interval '5 min', completed_at, error_message
FROM pulse_workflow_step_runs
WHERE claim = 1 AND step_type IN ('action', 'condition') ORDER BY id;

-- name: events
INSERT INTO pulse_run_events (run_id, tenant_id, generation, kind, path, at, detail)
SELECT run_id, tenant_id, 1, kind, path, at, detail
FROM (
    SELECT run_id, tenant_id, 'step_started' AS kind, path, started_at AS at,
        '{"attempt": 1}'::jsonb AS detail
    FROM pulse_workflow_step_runs WHERE claim = 1
    UNION ALL
    SELECT run_id, tenant_id, 'step_' || status, path, completed_at,
        CASE WHEN status = 'failed' THEN '{"error": "no answer", "final": true}'
            ELSE '{"attempt": 1}' END::jsonb
    FROM pulse_workflow_step_runs WHERE completed_at IS NOT NULL
    UNION ALL
    SELECT id, tenant_id, 'run_' || status, NULL, updated_at, '{}'
    FROM pulse_workflow_runs WHERE status IN ('completed', 'failed', 'canceled')
) AS told
ORDER BY at, run_id, path;

-- name: logs
INSERT INTO pulse_execution_logs (id, run_id, step_run_id, tenant_id, level, message, created_at)
SELECT
    'log_' || substr(s.id, 5), s.run_id, s.id, s.tenant_id, 'info', 'Charged the card', s.started_at
FROM pulse_workflow_step_runs AS s WHERE s.path = '0' AND s.claim = 1 ORDER BY s.id;
