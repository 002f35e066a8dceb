-- The version of a definition that was last applied from its set, so that what somebody has
-- changed by hand since then is told before it is overwritten. NULL: it is of no set.
ALTER TABLE pulse_workflow_definitions ADD COLUMN applied_version integer;
