-- Relays do not read past the commands of dialects that they do not know.
DROP INDEX pulse_outbox_turns;
CREATE INDEX pulse_outbox_turns
    ON pulse_outbox (task_queue, subject, tenant_id, dialect, leased_until, id);
