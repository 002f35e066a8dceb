ALTER TABLE pulse_step_attempts ADD CONSTRAINT pulse_step_attempts_status_known
    CHECK (status IN ('open', 'completed', 'failed', 'timed_out', 'lost', 'released', 'canceled'))
    NOT VALID;
