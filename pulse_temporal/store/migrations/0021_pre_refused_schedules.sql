-- The doctor finds definitions whose cron Temporal refuses without reading all definitions.
CREATE INDEX pulse_workflow_definitions_refused
    ON pulse_workflow_definitions (schedule_queue, updated_at DESC)
    WHERE schedule_error IS NOT NULL AND deleted_at IS NULL;
