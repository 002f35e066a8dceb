-- A step without a path was written by the TypeScript Pulse, or adopted where two claimed one
-- place. Older rows of it were given paths, so this check is never validated.
ALTER TABLE pulse_workflow_step_runs ADD CONSTRAINT pulse_workflow_step_runs_status_known
    CHECK (
        path IS NULL
        OR status IN ('pending', 'scheduled', 'running', 'completed', 'failed', 'skipped')
    ) NOT VALID;
