ALTER TABLE pulse_step_attempts
    -- Where a handler failed: the application's own frames, without values of variables.
    ADD COLUMN IF NOT EXISTS traceback text,
    -- When its worker last said that it is at work there although it cannot tell Temporal,
    -- because a handler blocks its event loop; and whether it is this one that does.
    ADD COLUMN IF NOT EXISTS held_at timestamptz,
    ADD COLUMN IF NOT EXISTS holds_loop boolean NOT NULL DEFAULT false;
