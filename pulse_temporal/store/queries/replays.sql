-- name: take
-- Take a key for a replay. No row: it was taken before; a transaction that takes it at the same
-- moment is waited for.
-- $1 tenant_id, $2 idempotency_key, $3 trigger_id, $4 is_dry_run
INSERT INTO pulse_replays (tenant_id, idempotency_key, trigger_id, is_dry_run)
VALUES ($1, $2, $3, $4)
ON CONFLICT (tenant_id, idempotency_key) DO NOTHING
RETURNING idempotency_key;

-- name: note
-- Keep the runs that a replay has planned.
-- $1 tenant_id, $2 idempotency_key, $3 run_ids
UPDATE pulse_replays SET run_ids = $3 WHERE tenant_id = $1 AND idempotency_key = $2;

-- name: find
-- The replay that a key stands for.
-- $1 tenant_id, $2 idempotency_key
SELECT trigger_id, is_dry_run, run_ids FROM pulse_replays
WHERE tenant_id = $1 AND idempotency_key = $2;
