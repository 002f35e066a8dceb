-- Whoever deletes a definition's row makes Postgres look for its runs; else it reads all runs.
CREATE INDEX pulse_workflow_runs_definition ON pulse_workflow_runs (definition_id);
