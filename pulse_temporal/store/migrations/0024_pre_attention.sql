-- What somebody may want to look at is found without reading the steps of all open runs.
--
-- Since when a step is tried again: from its first failure until it succeeds or has failed for
-- good, also while an attempt is at work. A step that never fails never writes it, so that claims
-- and records stay updates within a page, which touch no index.
ALTER TABLE pulse_workflow_step_runs ADD COLUMN retrying_since timestamptz;
CREATE INDEX pulse_workflow_step_runs_attention ON pulse_workflow_step_runs (tenant_id, run_id)
    WHERE retrying_since IS NOT NULL OR next_attempt_at IS NOT NULL OR blocked_reason IS NOT NULL;
