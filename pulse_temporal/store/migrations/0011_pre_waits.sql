-- How many results the context had when the run last began to wait. While no more are recorded,
-- the next wait leaves the context as it is, without reading one.
ALTER TABLE pulse_workflow_runs ADD COLUMN context_results integer NOT NULL DEFAULT 0;
