-- name: take
-- Take a key for a replay. No row: it was taken before; a transaction that takes it at the same
-- moment is waited for.
INSERT INTO pulse_replays (tenant_id, idempotency_key, trigger_id, is_dry_run)
VALUES (:tenant_id, :key, :trigger_id, :is_dry_run)
ON CONFLICT (tenant_id, idempotency_key) DO NOTHING
RETURNING idempotency_key;

-- name: note
-- Keep the runs that a replay has planned.
UPDATE pulse_replays SET run_ids = :run_ids WHERE tenant_id = :tenant_id AND idempotency_key = :key;

-- name: find
-- The replay that a key stands for.
SELECT trigger_id, is_dry_run, run_ids FROM pulse_replays
WHERE tenant_id = :tenant_id AND idempotency_key = :key;
