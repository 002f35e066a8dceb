-- Which release a row needs, and what a condition has answered.
--
-- A dialect is one number for a set of kinds of step, fields and commands. A definition names the
-- one that it needs; its runs and their start commands carry the same number. A process takes a
-- command only when it knows the dialect, so that a release that is older than a row leaves it to
-- newer ones. Everything up to now is dialect 1.
ALTER TABLE pulse_workflow_definitions ADD COLUMN dialect integer NOT NULL DEFAULT 1;
ALTER TABLE pulse_workflow_runs ADD COLUMN dialect integer NOT NULL DEFAULT 1;
ALTER TABLE pulse_outbox ADD COLUMN dialect integer NOT NULL DEFAULT 1;
-- The newest dialect that a process knows.
ALTER TABLE pulse_workers ADD COLUMN dialect integer NOT NULL DEFAULT 1;

-- Written with a condition's result, and by conditions only. NULL in rows of older releases, where
-- the result of the condition says it.
ALTER TABLE pulse_workflow_step_runs ADD COLUMN answer boolean;
