-- A run without an engine is the TypeScript Pulse's.
ALTER TABLE pulse_workflow_runs ADD CONSTRAINT pulse_workflow_runs_status_known
    CHECK (
        engine IS NULL
        OR status IN ('pending', 'running', 'waiting', 'completed', 'failed', 'canceled')
    ) NOT VALID;
