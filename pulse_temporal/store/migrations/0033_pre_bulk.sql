-- Bulk operations: one deed on many runs of a tenant, which workers do run by run.
--
-- filter: which runs, with created_before always set; NULL: they were named. walked_at, walked_id:
-- where collecting them has come to, newest first; NULL: at the newest. place: the run that was last
-- done, lowest id first. due_at: when the next one may be done.
CREATE TABLE pulse_bulk_operations (
    id text PRIMARY KEY,
    tenant_id text NOT NULL,
    kind text NOT NULL,
    name text,
    reason text,
    filter jsonb,
    repeats text,
    status text NOT NULL,
    rate double precision NOT NULL,
    task_queue text NOT NULL,
    actor_id text NOT NULL,
    actor_name text NOT NULL,
    actor_kind text NOT NULL,
    request_id text,
    idempotency_key text,
    request_hash text,
    items integer NOT NULL DEFAULT 0,
    done integer NOT NULL DEFAULT 0,
    failed integer NOT NULL DEFAULT 0,
    skipped integer NOT NULL DEFAULT 0,
    walked_at timestamptz,
    walked_id text NOT NULL DEFAULT '',
    place text NOT NULL DEFAULT '',
    due_at timestamptz NOT NULL DEFAULT now(),
    created_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz,
    CONSTRAINT pulse_bulk_operations_kind_known CHECK (kind IN ('retry', 'cancel', 'replay')),
    CONSTRAINT pulse_bulk_operations_status_known
        CHECK (status IN ('collecting', 'running', 'completed', 'aborted'))
);
CREATE UNIQUE INDEX pulse_bulk_operations_idempotency
    ON pulse_bulk_operations (tenant_id, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX pulse_bulk_operations_tenant ON pulse_bulk_operations (tenant_id, created_at, id);
CREATE INDEX pulse_bulk_operations_created ON pulse_bulk_operations (created_at, id);
CREATE INDEX pulse_bulk_operations_open ON pulse_bulk_operations (task_queue, tenant_id, due_at)
    WHERE status IN ('collecting', 'running');

-- Each run once. What was done to it, and that it was done, are written in one transaction.
CREATE TABLE pulse_bulk_items (
    operation_id text NOT NULL REFERENCES pulse_bulk_operations (id) ON DELETE CASCADE,
    run_id text NOT NULL,
    tenant_id text NOT NULL,
    outcome text NOT NULL DEFAULT 'pending',
    code text,
    error text,
    generation integer,
    run_ids text[],
    ended_at timestamptz,
    PRIMARY KEY (operation_id, run_id),
    CONSTRAINT pulse_bulk_items_outcome_known
        CHECK (outcome IN ('pending', 'done', 'failed', 'skipped'))
);
CREATE INDEX pulse_bulk_items_outcome ON pulse_bulk_items (operation_id, outcome, run_id);
