-- name: emit_signals
-- also: emit_signal
-- also: emit_tick
-- Store signals and plan one run for each definition that each of them matches, all in one
-- statement: triggers, runs with their frozen definitions, control rows, step runs, start
-- commands. No row for a signal: its idempotency key is taken, by an earlier one of these too.
-- One row with run_id NULL: it matched nothing. The snapshot of a definition comes with its first
-- run only; else it is NULL. Keys are taken in the order of their bytes, whatever the collation of
-- the database, so that lists in whatever order never wait for each other in a circle.
-- Arrays of the same length, one element a signal:
-- Arrays, one element a signal: ids to request_hashes; payloads: JSON texts. What all share:
-- lease: how long the relay leaves the start commands to the caller; NULL: not at all.
-- owner: a definition whose cron ticked; it matches, and of the others those that have no cron.
-- replayed: plan runs for triggers that are stored already.
-- dialect: the newest one that the caller knows. A run of a newer one is planned and left to the
-- relay of a newer release at once; it comes without snapshot and command.
-- most_runs: of one signal; most_steps: of those runs together; NULL: as many as there are.
-- functions/emit.sql gives a value to each of these parameters, too.
WITH given AS MATERIALIZED (
    -- The signals, numbered in the order in which they were given.
    SELECT *
    FROM unnest(
        :ids::text[], :tenant_ids::text[], :sources::text[], :types::text[],
        :resource_types::text[], :resource_ids::text[], :environments::text[],
        :payloads::text[], :idempotency_keys::text[], :request_hashes::text[]
    ) WITH ORDINALITY AS g (
        id, tenant_id, source, type, resource_type, resource_id, environment, payload,
        idempotency_key, request_hash, position
    )
    -- Without it Postgres counts on ten signals, finds a new plan for the one at hand cheaper each
    -- time, and then plans for longer than it works. For many, plans for one would be slow.
    LIMIT 1  -- only emit_signal
), stored AS (
    -- In the order of the keys: two lists that name the same ones would else wait for each other in
    -- a circle. A key that is taken stores nothing, and so plans nothing.
    INSERT INTO pulse_triggers (
        id, tenant_id, source, type, resource_type, resource_id, environment, payload,
        idempotency_key, request_hash, caused_by_run_id, root_trigger_id, depth, is_replay
    )
    SELECT
        g.id, g.tenant_id, g.source, g.type, g.resource_type, g.resource_id, g.environment,
        g.payload::jsonb, g.idempotency_key, g.request_hash, :caused_by_run_id::text,
        :root_trigger_id::text, :depth::int, :is_replay::bool
    FROM given AS g
    WHERE NOT :replayed::bool
    ORDER BY g.tenant_id COLLATE "C", g.idempotency_key COLLATE "C", g.position
    ON CONFLICT (tenant_id, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING
    RETURNING id, created_at
), trigger AS MATERIALIZED (
    -- What runs are planned for: what is stored here, or was stored before and is replayed.
    SELECT
        g.position, g.id, g.tenant_id, g.type, g.resource_type, g.environment, kept.created_at
    FROM (
        SELECT id, created_at FROM stored
        UNION ALL
        SELECT p.id, p.created_at FROM pulse_triggers AS p
        WHERE :replayed::bool AND p.id = ANY (:ids::text[])
            AND p.tenant_id = ANY (:tenant_ids::text[])
    ) AS kept
    JOIN given AS g ON g.id = kept.id
), clock AS MATERIALIZED (
    -- Read once: as a subquery it would be read again for each pair of a nested loop.
    SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS us
), matched AS MATERIALIZED (
    -- One row a run: a signal with a definition that it matches, as that is now. MATERIALIZED:
    -- read again, it would give the run another id.
    SELECT
        -- UUIDv7 with microseconds, so that ids sort by emit and then by position.
        'run_' || lpad(to_hex((c.us + row_number() OVER in_order) / 1000), 12, '0')
            || '7' || lpad(to_hex((c.us + row_number() OVER in_order) % 1000 * 4), 3, '0')
            || substr(replace(gen_random_uuid()::text, '-', ''), 17) AS run_id,
        row_number() OVER in_order AS position,
        row_number() OVER (PARTITION BY d.id ORDER BY t.position) = 1 AS is_first,
        t.id AS trigger_id,
        t.tenant_id,
        d.id AS definition_id,
        d.step_plan,
        d.dialect,
        jsonb_strip_nulls(jsonb_build_object(
            'definitionId', d.id, 'version', d.version, 'name', d.name,
            'description', d.description, 'triggerType', d.trigger_type,
            'environmentFilter', d.environment_filter,
            'resourceTypeFilter', d.resource_type_filter
        )) || jsonb_build_object('steps', d.steps, 'config', d.config) AS snapshot
    FROM trigger AS t
    JOIN pulse_workflow_definitions AS d
        ON d.tenant_id = t.tenant_id AND d.trigger_type = t.type
        AND {{is_on(d)}}  -- not emit_tick
        AND {{is_on_or_ticks(d)}}  -- only emit_tick
        AND {{is_planned(d)}}
        AND {{fits_environment(d)}}
        AND {{fits_resource_type(d)}}
        AND {{heeds_the_tick(d)}}
    CROSS JOIN clock AS c
    WINDOW in_order AS (ORDER BY t.position, d.created_at, d.id)
), bounds AS MATERIALIZED (
    -- Refuses before anything is written for the runs; what was written is undone with it.
    SELECT CASE
        WHEN max(a.runs) > :most_runs::int THEN pulse_refuse(
            format(
                'The signal %L of tenant %s would start %s runs at once; limits.runs_per_signal '
                    'allows %s.',
                (array_agg(t.type ORDER BY a.runs DESC))[1],
                (array_agg(t.tenant_id ORDER BY a.runs DESC))[1], max(a.runs), :most_runs::int
            ),
            'limits.runs_per_signal'
        )
        WHEN max(a.steps) > :most_steps::int THEN pulse_refuse(
            format(
                'The runs that the signal %L of tenant %s would start have %s steps altogether; '
                    'limits.steps_per_signal allows %s.',
                (array_agg(t.type ORDER BY a.steps DESC))[1],
                (array_agg(t.tenant_id ORDER BY a.steps DESC))[1], max(a.steps), :most_steps::int
            ),
            'limits.steps_per_signal'
        )
        ELSE true
    END AS are_kept
    FROM (
        SELECT trigger_id, count(*) AS runs, sum(jsonb_array_length(step_plan)) AS steps
        FROM matched GROUP BY trigger_id
    ) AS a
    JOIN trigger AS t ON t.id = a.trigger_id
), runs AS (
    -- The definition is frozen with the run: who changes it later does not change what runs.
    INSERT INTO pulse_workflow_runs (
        id, definition_id, tenant_id, trigger_id, definition_snapshot, is_replay, is_dry_run,
        replay_of_run_id, engine, dialect
    )
    SELECT
        m.run_id, m.definition_id, m.tenant_id, m.trigger_id, m.snapshot, :is_replay::bool,
        :is_dry_run::bool,
        CASE WHEN :replayed::bool THEN (
            SELECT o.id FROM pulse_workflow_runs AS o
            WHERE o.trigger_id = m.trigger_id AND o.definition_id = m.definition_id
                AND NOT o.is_replay
            ORDER BY o.id DESC LIMIT 1
        ) END,
        'temporal', m.dialect
    FROM matched AS m
    ORDER BY m.position
), control AS (
    -- The row that all who act on a run lock first.
    INSERT INTO pulse_run_control (run_id, tenant_id, task_queue)
    SELECT run_id, tenant_id, :task_queue::text FROM matched
), planned AS MATERIALIZED (
    -- One row a step. MATERIALIZED, as matched is: a step and its parent are read from it apart.
    SELECT
        m.run_id, m.tenant_id, m.position,
        'stp_' || lpad(to_hex((extract(epoch FROM clock_timestamp()) * 1000)::bigint), 12, '0')
            || '7' || substr(replace(gen_random_uuid()::text, '-', ''), 14) AS id,
        p.*
    FROM matched AS m
    CROSS JOIN LATERAL jsonb_to_recordset(m.step_plan) AS p (
        path text, numbers int[], index int, type text, name text, handler text,
        max_attempts int, branch int, parent text
    )
), steps AS (
    -- All steps at once, so that a timeline shows what will come.
    INSERT INTO pulse_workflow_step_runs (
        id, run_id, tenant_id, step_index, step_type, step_name, branch_index,
        parent_step_run_id, path, path_numbers, handler, max_attempts
    )
    SELECT
        s.id, s.run_id, s.tenant_id, s.index, s.type, s.name, s.branch,
        parent.id, s.path, s.numbers, s.handler, s.max_attempts
    FROM planned AS s
    LEFT JOIN planned AS parent ON parent.run_id = s.run_id AND parent.path = s.parent
    ORDER BY s.position, s.numbers
), outbox AS (
    -- The command to start each run commits with it, so that no run is left without one. The lease
    -- leaves it to the caller at first; when that dies, the relay goes on.
    INSERT INTO pulse_outbox (kind, tenant_id, run_id, task_queue, dialect, leased_until)
    SELECT
        'start', tenant_id, run_id, :task_queue::text, dialect,
        coalesce(CASE WHEN dialect <= :dialect::int THEN now() + :lease::interval END, '-infinity')
    FROM matched CROSS JOIN bounds
    WHERE bounds.are_kept
    ORDER BY position
    RETURNING id, run_id
)
SELECT
    t.id, t.created_at, m.run_id, m.definition_id,
    CASE WHEN m.dialect <= :dialect::int THEN o.id END AS outbox_id,
    CASE WHEN m.is_first AND m.dialect <= :dialect::int THEN m.snapshot::text END AS snapshot
FROM trigger AS t
LEFT JOIN matched AS m ON m.trigger_id = t.id
LEFT JOIN outbox AS o ON o.run_id = m.run_id
ORDER BY t.position, m.position;

-- name: set_lock_timeout
-- Let no statement of this transaction wait longer for a lock of another one; gives the bound that
-- held before.
-- timeout: as Postgres writes it; a number alone is milliseconds.
SELECT current_setting('lock_timeout') AS before, set_config('lock_timeout', :timeout::text, true);

-- name: find_by_keys
-- The triggers that idempotency keys belong to.
-- Arrays of the same length, one element a key.
SELECT
    t.id, t.tenant_id, source, type, resource_type, resource_id, environment,
    payload::text AS payload, idempotency_key, request_hash, caused_by_run_id,
    root_trigger_id, depth, is_replay, created_at,
    ARRAY(
        SELECT r.id FROM pulse_workflow_runs AS r
        JOIN pulse_workflow_definitions AS d ON d.id = r.definition_id
        WHERE r.trigger_id = t.id AND NOT r.is_replay ORDER BY d.created_at, d.id
    ) AS run_ids
FROM (
    SELECT DISTINCT tenant_id,
        key FROM unnest(:tenant_ids::text[], :idempotency_keys::text[]) AS k (tenant_id, key)
) AS wanted
JOIN pulse_triggers AS t
    ON t.tenant_id = wanted.tenant_id AND t.idempotency_key = wanted.key;

-- name: find_stored
-- What emit_signal has given for signals that are stored: the runs in their order, no commands.
SELECT
    t.id, t.created_at, r.id AS run_id, r.definition_id, NULL::bigint AS outbox_id,
    NULL::text AS snapshot
FROM pulse_triggers AS t
LEFT JOIN pulse_workflow_runs AS r ON r.trigger_id = t.id AND NOT r.is_replay
WHERE t.id = ANY (:trigger_ids::text[])
ORDER BY r.id;

-- name: get_trigger
-- One trigger with the runs that it started, oldest definition first.
-- tenant_id: NULL for any.
SELECT
    id, tenant_id, source, type, resource_type, resource_id, environment,
    payload::text AS payload, idempotency_key, request_hash, caused_by_run_id,
    root_trigger_id, depth, is_replay, created_at,
    ARRAY(
        SELECT r.id FROM pulse_workflow_runs AS r
        JOIN pulse_workflow_definitions AS d ON d.id = r.definition_id
        WHERE r.trigger_id = t.id ORDER BY r.is_replay, d.created_at, d.id, r.id
    ) AS run_ids
FROM pulse_triggers AS t
WHERE t.id = :trigger_id AND (:tenant_id::text IS NULL OR t.tenant_id = :tenant_id);

-- name: count_caused
-- How many signals a first signal has caused so far; counting ends at the limit.
SELECT count(*) AS caused FROM (
    SELECT 1 FROM pulse_triggers WHERE tenant_id = :tenant_id
        AND root_trigger_id = :root_trigger_id LIMIT :row_limit
) AS counted;

-- name: take_signals
-- Wait until signals can be stored, which a lock on their table prevents; stores nothing.
INSERT INTO pulse_triggers (id) SELECT id FROM pulse_triggers WHERE false;
