ALTER TABLE pulse_run_control ADD CONSTRAINT pulse_run_control_closed_as_known
    CHECK (closed_as IN ('canceled', 'failed')) NOT VALID;
