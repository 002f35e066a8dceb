-- Replays that were asked for with an idempotency key, and the runs that they have planned: a
-- repetition, after an answer that was lost, is given the same runs.
CREATE TABLE pulse_replays (
    tenant_id text NOT NULL,
    idempotency_key text NOT NULL,
    trigger_id text NOT NULL REFERENCES pulse_triggers (id) ON DELETE CASCADE,
    is_dry_run boolean NOT NULL,
    run_ids text[] NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, idempotency_key)
);
-- Without it, deleting a signal would read every replay there is.
CREATE INDEX pulse_replays_trigger ON pulse_replays (trigger_id);
