-- Relays take turns between tenants, in one index for commands about runs and about schedules.
-- Code of before finds what is due without its two indexes too, as the outbox is short.
ALTER TABLE pulse_outbox ADD COLUMN subject text NOT NULL
    GENERATED ALWAYS AS (CASE WHEN kind = 'schedule' THEN 'schedules' ELSE 'runs' END) STORED;
CREATE INDEX pulse_outbox_turns
    ON pulse_outbox (task_queue, subject, tenant_id, leased_until, id);
DROP INDEX pulse_outbox_due;
DROP INDEX pulse_outbox_due_schedules;

-- Which runs have failed lately, over all tenants.
CREATE INDEX pulse_workflow_runs_failed
    ON pulse_workflow_runs (failed_at) WHERE status = 'failed';

-- Lets a statement refuse what is beyond a bound, in words, and undo itself.
CREATE FUNCTION pulse_refuse(reason text, bound text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '%', reason USING ERRCODE = 'program_limit_exceeded', CONSTRAINT = bound;
END
$$;
