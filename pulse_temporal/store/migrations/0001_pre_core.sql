-- The whole schema of Pulse.
--
-- What happened              pulse_triggers            one row a stored signal
-- What should happen         pulse_workflow_definitions tenants' workflows as data
-- The mirror                 pulse_workflow_runs       one row a run, with its frozen definition
--                            pulse_workflow_step_runs  one row a step of a run; the ledger of results
--                            pulse_execution_logs      ctx.log lines
--                            pulse_run_events          append-only timeline
-- Who may act                pulse_run_control         cancel and generation; locked before all else
--                            pulse_run_lineages        which Temporal execution speaks for a run or branch
--                            pulse_step_attempts       every claim of a step and how it ended
-- Commands to Temporal       pulse_outbox              written with the change, executed by the relay
-- Who works                  pulse_workers             live processes and the handlers they know
-- What was repaired          pulse_reconcilers         the last comparison with Temporal
--
-- Lock order in every transaction: control, run, steps by path, inserts.
-- The first five tables carry the columns of the TypeScript Pulse; a database made by it is
-- adopted: every column beyond those is nullable or has a constant default, and the defaults
-- that it may lack are set.

CREATE SEQUENCE IF NOT EXISTS pulse_timeline_seq;

CREATE TABLE IF NOT EXISTS pulse_triggers (
    id text PRIMARY KEY,
    tenant_id text NOT NULL,
    source text NOT NULL,
    type text NOT NULL,
    resource_type text,
    resource_id text,
    environment text,
    payload jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now()
);
ALTER TABLE pulse_triggers
    ALTER COLUMN payload SET DEFAULT '{}',
    ALTER COLUMN created_at SET DEFAULT now();
ALTER TABLE pulse_triggers
    ADD COLUMN IF NOT EXISTS idempotency_key text,
    ADD COLUMN IF NOT EXISTS request_hash text,
    ADD COLUMN IF NOT EXISTS caused_by_run_id text,
    ADD COLUMN IF NOT EXISTS root_trigger_id text,
    ADD COLUMN IF NOT EXISTS depth integer NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS is_replay boolean NOT NULL DEFAULT false;
CREATE UNIQUE INDEX IF NOT EXISTS pulse_triggers_idempotency
    ON pulse_triggers (tenant_id, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX IF NOT EXISTS pulse_triggers_tenant_root
    ON pulse_triggers (tenant_id, root_trigger_id) WHERE root_trigger_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS pulse_triggers_tenant_type ON pulse_triggers (tenant_id, type, id);
CREATE INDEX IF NOT EXISTS pulse_triggers_resource
    ON pulse_triggers (resource_id, tenant_id, id) WHERE resource_id IS NOT NULL;

CREATE TABLE IF NOT EXISTS pulse_workflow_definitions (
    id text PRIMARY KEY,
    tenant_id text NOT NULL,
    name text NOT NULL,
    description text,
    trigger_type text NOT NULL,
    environment_filter text,
    resource_type_filter text,
    steps jsonb NOT NULL,
    config jsonb NOT NULL DEFAULT '{}',
    is_enabled boolean NOT NULL DEFAULT true,
    cron_expression text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
ALTER TABLE pulse_workflow_definitions
    ALTER COLUMN config SET DEFAULT '{}',
    ALTER COLUMN is_enabled SET DEFAULT true,
    ALTER COLUMN created_at SET DEFAULT now(),
    ALTER COLUMN updated_at SET DEFAULT now();
ALTER TABLE pulse_workflow_definitions
    ADD COLUMN IF NOT EXISTS timezone text,
    -- When it was last enabled again; cron ticks from before are not caught up.
    ADD COLUMN IF NOT EXISTS enabled_at timestamptz,
    ADD COLUMN IF NOT EXISTS version integer NOT NULL DEFAULT 1,
    ADD COLUMN IF NOT EXISTS deleted_at timestamptz,
    -- The engines that keep its Temporal Schedule; NULL: it never had one.
    ADD COLUMN IF NOT EXISTS schedule_queue text,
    -- The steps as flat rows (path, numbers, name …), made when the definition is stored, so
    -- that emit copies them instead of walking the tree. NULL: written by the TypeScript Pulse.
    ADD COLUMN IF NOT EXISTS step_plan jsonb;
CREATE INDEX IF NOT EXISTS pulse_workflow_definitions_match
    ON pulse_workflow_definitions (tenant_id, trigger_type) WHERE is_enabled AND deleted_at IS NULL;
CREATE INDEX IF NOT EXISTS pulse_workflow_definitions_schedule
    ON pulse_workflow_definitions (schedule_queue) WHERE schedule_queue IS NOT NULL;
CREATE INDEX IF NOT EXISTS pulse_workflow_definitions_tenant
    ON pulse_workflow_definitions (tenant_id, created_at, id) WHERE deleted_at IS NULL;
CREATE INDEX IF NOT EXISTS pulse_workflow_definitions_created
    ON pulse_workflow_definitions (created_at, id) WHERE deleted_at IS NULL;

CREATE TABLE IF NOT EXISTS pulse_workflow_runs (
    id text PRIMARY KEY,
    definition_id text NOT NULL REFERENCES pulse_workflow_definitions (id),
    tenant_id text NOT NULL,
    trigger_id text NOT NULL REFERENCES pulse_triggers (id),
    status text NOT NULL DEFAULT 'pending',
    context jsonb NOT NULL DEFAULT '{}',
    current_step_index integer NOT NULL DEFAULT 0,
    is_replay boolean NOT NULL DEFAULT false,
    definition_snapshot jsonb NOT NULL,
    started_at timestamptz,
    completed_at timestamptz,
    failed_at timestamptz,
    canceled_at timestamptz,
    cancel_reason text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 80);
ALTER TABLE pulse_workflow_runs
    ALTER COLUMN status SET DEFAULT 'pending',
    ALTER COLUMN context SET DEFAULT '{}',
    ALTER COLUMN current_step_index SET DEFAULT 0,
    ALTER COLUMN is_replay SET DEFAULT false,
    ALTER COLUMN created_at SET DEFAULT now(),
    ALTER COLUMN updated_at SET DEFAULT now();
ALTER TABLE pulse_workflow_runs
    ADD COLUMN IF NOT EXISTS generation integer NOT NULL DEFAULT 1,
    ADD COLUMN IF NOT EXISTS error_message text,
    ADD COLUMN IF NOT EXISTS is_dry_run boolean NOT NULL DEFAULT false,
    ADD COLUMN IF NOT EXISTS replay_of_run_id text,
    -- Which engine owns the run; NULL: the TypeScript Pulse, left alone until adopted.
    ADD COLUMN IF NOT EXISTS engine text;
-- Lists of runs go by (created_at, id). A list that any status may be in reads the newest of each
-- status and merges them, so one index answers with and without a filter by status.
CREATE INDEX IF NOT EXISTS pulse_workflow_runs_tenant
    ON pulse_workflow_runs (tenant_id, created_at, id);
CREATE INDEX IF NOT EXISTS pulse_workflow_runs_tenant_status
    ON pulse_workflow_runs (tenant_id, status, created_at, id);
CREATE INDEX IF NOT EXISTS pulse_workflow_runs_tenant_definition
    ON pulse_workflow_runs (tenant_id, definition_id, status, created_at, id);
CREATE INDEX IF NOT EXISTS pulse_workflow_runs_status
    ON pulse_workflow_runs (status, created_at, id);
CREATE INDEX IF NOT EXISTS pulse_workflow_runs_trigger ON pulse_workflow_runs (trigger_id, id);
CREATE INDEX IF NOT EXISTS pulse_workflow_runs_open
    ON pulse_workflow_runs (id) WHERE status IN ('pending', 'running', 'waiting');

CREATE TABLE IF NOT EXISTS pulse_workflow_step_runs (
    id text PRIMARY KEY,
    run_id text NOT NULL REFERENCES pulse_workflow_runs (id) ON DELETE CASCADE,
    tenant_id text NOT NULL,
    step_index integer NOT NULL,
    step_type text NOT NULL,
    step_name text NOT NULL,
    status text NOT NULL DEFAULT 'pending',
    scheduled_for timestamptz,
    started_at timestamptz,
    completed_at timestamptz,
    result jsonb,
    error_message text,
    branch_index integer,
    parent_step_run_id text,
    created_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 70);
ALTER TABLE pulse_workflow_step_runs
    ALTER COLUMN status SET DEFAULT 'pending',
    ALTER COLUMN created_at SET DEFAULT now();
ALTER TABLE pulse_workflow_step_runs
    -- Position in the tree: '2', '2/b0/1'; the numbers of it sort in document order.
    ADD COLUMN IF NOT EXISTS path text,
    ADD COLUMN IF NOT EXISTS path_numbers integer[],
    ADD COLUMN IF NOT EXISTS handler text,
    -- The fence: only the newest generation and epoch may write; claim counts deliveries.
    ADD COLUMN IF NOT EXISTS generation integer NOT NULL DEFAULT 1,
    ADD COLUMN IF NOT EXISTS epoch integer NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS claim integer NOT NULL DEFAULT 0,
    -- Attempts used in this generation (lost workers do not count) and how many there are.
    ADD COLUMN IF NOT EXISTS attempt integer NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS max_attempts integer NOT NULL DEFAULT 1,
    ADD COLUMN IF NOT EXISTS next_attempt_at timestamptz,
    ADD COLUMN IF NOT EXISTS skipped_by text,
    ADD COLUMN IF NOT EXISTS blocked_reason text,
    ADD COLUMN IF NOT EXISTS blocked_since timestamptz,
    -- Of the result as it was recorded, so that a run's results are summed without reading them.
    ADD COLUMN IF NOT EXISTS result_bytes integer;
-- Rows of the TypeScript Pulse get their place in the tree. Where two claim one place, the older
-- row has it and the other keeps none.
WITH RECURSIVE placed AS (
    SELECT id, run_id, created_at, step_index::text AS path, ARRAY[step_index] AS numbers
    FROM pulse_workflow_step_runs WHERE parent_step_run_id IS NULL AND path IS NULL
    UNION ALL
    SELECT
        s.id, s.run_id, s.created_at,
        p.path || '/b' || coalesce(s.branch_index, 0) || '/' || s.step_index,
        p.numbers || coalesce(s.branch_index, 0) || s.step_index
    FROM pulse_workflow_step_runs AS s JOIN placed AS p ON s.parent_step_run_id = p.id
), first AS (
    SELECT DISTINCT ON (run_id, path) id, path, numbers FROM placed
    ORDER BY run_id, path, created_at, id
)
UPDATE pulse_workflow_step_runs AS s
SET path = f.path, path_numbers = f.numbers, handler = s.step_name
FROM first AS f WHERE f.id = s.id;
CREATE UNIQUE INDEX IF NOT EXISTS pulse_workflow_step_runs_path
    ON pulse_workflow_step_runs (run_id, path);
CREATE INDEX IF NOT EXISTS pulse_workflow_step_runs_blocked
    ON pulse_workflow_step_runs (run_id) WHERE blocked_reason IS NOT NULL;

CREATE TABLE IF NOT EXISTS pulse_execution_logs (
    id text PRIMARY KEY,
    run_id text NOT NULL REFERENCES pulse_workflow_runs (id) ON DELETE CASCADE,
    step_run_id text REFERENCES pulse_workflow_step_runs (id) ON DELETE CASCADE,
    tenant_id text NOT NULL,
    level text NOT NULL DEFAULT 'info',
    message text NOT NULL,
    data jsonb,
    created_at timestamptz NOT NULL DEFAULT now()
);
ALTER TABLE pulse_execution_logs
    ALTER COLUMN level SET DEFAULT 'info',
    ALTER COLUMN created_at SET DEFAULT now();
ALTER TABLE pulse_execution_logs
    ADD COLUMN IF NOT EXISTS seq bigint DEFAULT nextval('pulse_timeline_seq');
CREATE INDEX IF NOT EXISTS pulse_execution_logs_run ON pulse_execution_logs (run_id, seq);
-- Without it, deleting a step would read every line there is.
CREATE INDEX IF NOT EXISTS pulse_execution_logs_step
    ON pulse_execution_logs (step_run_id) WHERE step_run_id IS NOT NULL;

CREATE TABLE pulse_run_events (
    seq bigint PRIMARY KEY DEFAULT nextval('pulse_timeline_seq'),
    run_id text NOT NULL REFERENCES pulse_workflow_runs (id) ON DELETE CASCADE,
    tenant_id text NOT NULL,
    generation integer NOT NULL,
    kind text NOT NULL,
    path text,
    at timestamptz NOT NULL,
    detail jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX pulse_run_events_run ON pulse_run_events (run_id, seq);
-- The timeline of the TypeScript Pulse's runs is told by the moments in their rows.
WITH told AS (
    SELECT run_id, tenant_id, path, at, kind, rank, detail
    FROM pulse_workflow_step_runs
    CROSS JOIN LATERAL (
        VALUES
            ('step_scheduled', scheduled_for IS NOT NULL, created_at, 1, '{}'::jsonb),
            ('step_started', started_at IS NOT NULL, started_at, 2, '{}'),
            (
                'step_' || status, status IN ('completed', 'failed', 'skipped'),
                coalesce(completed_at, started_at, created_at), 4,
                jsonb_strip_nulls(jsonb_build_object('error', error_message))
            )
    ) AS moment (kind, happened, at, rank, detail)
    WHERE happened AND path IS NOT NULL
    UNION ALL
    SELECT
        id, tenant_id, NULL, coalesce(completed_at, failed_at, canceled_at, updated_at),
        'run_' || status, 5, jsonb_strip_nulls(jsonb_build_object('reason', cancel_reason))
    FROM pulse_workflow_runs WHERE status IN ('completed', 'failed', 'canceled')
)
INSERT INTO pulse_run_events (run_id, tenant_id, generation, kind, path, at, detail)
SELECT run_id, tenant_id, 1, kind, path, at, detail FROM told ORDER BY at, rank;
-- Their log lines join that order by time.
WITH placed AS (
    SELECT l.id, (
        SELECT max(e.seq) FROM pulse_run_events AS e
        WHERE e.run_id = l.run_id AND e.at <= l.created_at
    ) AS seq
    FROM pulse_execution_logs AS l
)
UPDATE pulse_execution_logs AS l SET seq = coalesce(p.seq, 0) FROM placed AS p WHERE p.id = l.id;

CREATE TABLE pulse_run_control (
    run_id text PRIMARY KEY REFERENCES pulse_workflow_runs (id) ON DELETE CASCADE,
    tenant_id text NOT NULL,
    generation integer NOT NULL DEFAULT 1,
    -- The engines that share this queue share the run; a retry goes back to it.
    task_queue text NOT NULL,
    -- canceled or failed: nobody acts on the run any more, and whoever waits for this row's lock
    -- learns it. A completed run has nothing left to act on.
    closed_as text
);

CREATE TABLE pulse_run_lineages (
    run_id text NOT NULL REFERENCES pulse_workflow_runs (id) ON DELETE CASCADE,
    tenant_id text NOT NULL,
    generation integer NOT NULL,
    -- '' is the run itself, '2/b0' a branch.
    branch text NOT NULL,
    first_execution_run_id text NOT NULL,
    temporal_run_id text NOT NULL,
    earlier_run_ids text[] NOT NULL DEFAULT '{}',
    epoch integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (run_id, generation, branch)
);

CREATE TABLE pulse_step_attempts (
    step_run_id text NOT NULL REFERENCES pulse_workflow_step_runs (id) ON DELETE CASCADE,
    claim integer NOT NULL,
    run_id text NOT NULL,
    tenant_id text NOT NULL,
    generation integer NOT NULL,
    epoch integer NOT NULL,
    -- 1 for the first call of this generation; a redelivery after a lost worker keeps the number.
    attempt integer NOT NULL,
    -- open, completed, failed, timed_out, lost, canceled
    status text NOT NULL DEFAULT 'open',
    worker_id text NOT NULL,
    started_at timestamptz NOT NULL,
    deadline_at timestamptz NOT NULL,
    ended_at timestamptz,
    error_message text,
    PRIMARY KEY (step_run_id, claim)
);
CREATE INDEX pulse_step_attempts_run ON pulse_step_attempts (run_id);

CREATE TABLE pulse_outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- start, cancel, schedule
    kind text NOT NULL,
    tenant_id text NOT NULL,
    run_id text REFERENCES pulse_workflow_runs (id) ON DELETE CASCADE,
    definition_id text,
    -- Whose relay executes it: engines with other queues leave it alone.
    task_queue text NOT NULL,
    generation integer NOT NULL DEFAULT 1,
    leased_until timestamptz NOT NULL DEFAULT '-infinity',
    tries integer NOT NULL DEFAULT 0,
    last_error text,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX pulse_outbox_due
    ON pulse_outbox (task_queue, leased_until, id) WHERE kind <> 'schedule';
CREATE INDEX pulse_outbox_due_schedules
    ON pulse_outbox (task_queue, leased_until, id) WHERE kind = 'schedule';
CREATE INDEX pulse_outbox_run ON pulse_outbox (run_id, id);
CREATE INDEX pulse_outbox_schedule
    ON pulse_outbox (task_queue, definition_id) WHERE kind = 'schedule';

CREATE TABLE pulse_reconcilers (
    task_queue text PRIMARY KEY,
    -- When the next comparison of this queue's runs with Temporal is due; by any one worker.
    due_at timestamptz NOT NULL DEFAULT now(),
    -- The id that Temporal gave its namespace: a server that lost its data has another one.
    namespace_id text,
    -- The run after which the next comparison goes on; NULL: from the start.
    position text,
    -- Open workflows that started before this moment are listed next; NULL: the newest.
    listed_before timestamptz,
    report jsonb
);

CREATE TABLE pulse_workers (
    id text PRIMARY KEY,
    task_queue text NOT NULL,
    actions text[] NOT NULL,
    conditions text[] NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    seen_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX pulse_workers_seen ON pulse_workers (task_queue, seen_at);
