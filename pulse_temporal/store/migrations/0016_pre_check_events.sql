ALTER TABLE pulse_run_events ADD CONSTRAINT pulse_run_events_kind_known
    CHECK (
        kind IN (
            'run_completed', 'run_failed', 'run_canceled', 'step_scheduled', 'step_started',
            'step_completed', 'step_failed', 'step_skipped'
        )
    ) NOT VALID;
